//! Configurations that kubeadm 1.36 refuses, and its words, and some that it accepts.

pub const INIT: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 10.0.0.1}\n";
pub const CLUSTER: &str = "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.4\n";
pub const KUBELET: &str =
    "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
pub const PROXY: &str =
    "---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
pub const JOIN: &str = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\n";
pub const BOOTSTRAP: &str = "discovery: {bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: 'cp:6443', caCertHashes: ['sha256:00']}}\n";

/// Each with a part of what kubeadm says of it.
pub fn refused() -> Vec<(String, &'static str)> {
    let token = |fields: &str| {
        format!("{INIT}bootstrapTokens: [{{token: abcdef.0123456789abcdef, {fields}}}]\n{CLUSTER}")
    };
    let init = |line: &str| format!("{INIT}{line}\n{CLUSTER}");
    let cluster = |line: &str| format!("{INIT}{CLUSTER}{line}\n");
    let kubelet = |line: &str| format!("{INIT}{CLUSTER}{KUBELET}{line}\n");
    let join = |line: &str| format!("{JOIN}{BOOTSTRAP}{line}\n");
    vec![
        // fields
        (init("bogus: 1"), "strict decoding error: unknown field \"bogus\""),
        (
            init("nodeRegistration: {nam: a, x: 1}"),
            "unknown field \"nodeRegistration.nam\", unknown field \"nodeRegistration.x\"",
        ),
        (init("timeouts: {discover: 1m}"), "unknown field \"timeouts.discover\""),
        (
            init("nodeRegistration: {name: a}\nnodeRegistration: {name: b}"),
            "key \"nodeRegistration\" already set in map",
        ),
        (kubelet("failSwapon: true"), "unknown field \"failSwapon\""),
        (
            kubelet("memorySwap: {swapBehaviour: NoSwap}"),
            "unknown field \"memorySwap.swapBehaviour\"",
        ),
        (format!("{INIT}{CLUSTER}{PROXY}modus: iptables\n"), "unknown field \"modus\""),
        (join("timeout: 5m"), "unknown field \"timeout\""),
        (
            join("nodeRegistration: {kubeletExtraArgs: [{name: a, value: b, c: d}]}"),
            "unknown field \"nodeRegistration.kubeletExtraArgs[0].c\"",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta3\nkind: InitConfiguration\ntimeouts: {}\n".into(),
            "unknown field \"timeouts\"",
        ),
        // types
        (
            init("nodeRegistration: {name: 12}"),
            "json: cannot unmarshal number into Go struct field NodeRegistrationOptions.nodeRegistration.name of type string",
        ),
        (init("nodeRegistration: {name: no}"), "cannot unmarshal bool"),
        (init("nodeRegistration: {imagePullSerial: 'true'}"), "of type bool"),
        (
            init("nodeRegistration: {kubeletExtraArgs: {a: b}}"),
            "cannot unmarshal object into Go struct field NodeRegistrationOptions.nodeRegistration.kubeletExtraArgs of type []v1beta4.Arg",
        ),
        (
            cluster("etcd: {local: {extraArgs: [{name: heartbeat-interval, value: 500}]}}"),
            "cannot unmarshal number into Go struct field Arg.etcd.local.extraArgs.value of type string",
        ),
        (
            kubelet("failSwapOn: 'no'"),
            "cannot unmarshal string into Go struct field KubeletConfiguration.failSwapOn of type bool",
        ),
        (
            kubelet("evictionHard: {memory.available: 100}"),
            "KubeletConfiguration.evictionHard of type string",
        ),
        (kubelet("containerLogMaxFiles: '2'"), "of type int32"),
        (
            init("timeouts: {discovery: 60}"),
            "cannot unmarshal number into Go struct field Timeouts.timeouts.discovery of type string",
        ),
        // kinds
        (
            format!("{INIT}{CLUSTER}---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: Foo\n"),
            "unknown configuration APIs",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta2\nkind: InitConfiguration\n".into(),
            "your configuration file uses an old API spec: \"kubeadm.k8s.io/v1beta2\"",
        ),
        ("foo: 1\n".into(), "kind and apiVersion is mandatory"),
        ("foo: [\n".into(), "error converting YAML to JSON"),
        // values
        (
            format!("{INIT}bootstrapTokens: [{{token: abc}}]\n{CLUSTER}"),
            "the bootstrap token \"abc\" was not of the form",
        ),
        (
            token("ttl: 24h, expires: '2026-12-05T00:00:00Z'"),
            "the BootstrapToken .TTL and .Expires fields are mutually exclusive",
        ),
        // without ttl too: the default of ttl is set before it is looked at
        (
            token("expires: '2026-12-05T00:00:00Z'"),
            "the BootstrapToken .TTL and .Expires fields are mutually exclusive",
        ),
        (token("expires: tomorrow"), "parsing time \"tomorrow\""),
        (
            token("usages: [foo]"),
            "invalid bootstrap token usage string: foo, valid usage options: signing,authentication",
        ),
        (token("groups: [bar]"), "bootstrap group \"bar\" is invalid"),
        (init("timeouts: {discovery: 60x}"), "time: unknown unit \"x\" in duration \"60x\""),
        (
            format!("{}{CLUSTER}", INIT.replace("10.0.0.1", "hello")),
            "couldn't use \"hello\" as \"apiserver-advertise-address\"",
        ),
        (
            format!("{}{CLUSTER}", INIT.replace("10.0.0.1", "10.0.0.1, bindPort: 70000")),
            "localAPIEndpoint.bindPort: Invalid value: 70000",
        ),
        (
            cluster("networking: {podSubnet: 10.0.0.0/99}"),
            "networking.podSubnet: Invalid value: \"10.0.0.0/99\": couldn't parse subnet",
        ),
        (
            cluster("networking: {podSubnet: 10.244.0.0/26}"),
            "is smaller than the size of node subnet with mask 24",
        ),
        (cluster("networking: {serviceSubnet: 10.96.0.0/30}"), "is too small, the minimum is 10"),
        (cluster("networking: {dnsDomain: a_b}"), "networking.dnsDomain: Invalid value"),
        (cluster("apiServer: {certSANs: ['a b']}"), "apiServer.certSANs: Invalid value: \"a b\""),
        (
            cluster("controlPlaneEndpoint: 'a b:6443'"),
            "must be a valid IP address or a valid RFC-1123 DNS subdomain",
        ),
        (cluster("controlPlaneEndpoint: 'a:0'"), "must be a valid number between 1 and 65535"),
        (cluster("encryptionAlgorithm: EC"), "Invalid encryption algorithm \"EC\""),
        (cluster("featureGates: {Foo: true}"), "Foo is not a valid feature name"),
        (init("nodeRegistration: {name: CP_1}"), "nodeRegistration.name: Invalid value: \"cp_1\""),
        (
            format!("{INIT}{}", CLUSTER.replace("v1.36.4", "v1.x")),
            "doesn't match patterns for neither semantic version nor labels",
        ),
        (
            format!("{INIT}{}", CLUSTER.replace("v1.36.4", "v1.30.0")),
            "only supports deploying clusters with the control plane version >= 1.35.0",
        ),
        (JOIN.into(), "discovery: Invalid value: \"\": bootstrapToken or file must be set"),
        (
            join("").replace(", caCertHashes: ['sha256:00']", ""),
            "using token-based discovery without caCertHashes can be unsafe",
        ),
        (join("").replace("cp:6443", "cp"), "address cp: missing port in address"),
        (
            join("").replace("abcdef.0123456789abcdef", "bad"),
            "discovery.tlsBootstrapToken: Invalid value: \"bad\": the bootstrap token is invalid",
        ),
        (
            join("controlPlane: {localAPIEndpoint: {advertiseAddress: 300.1.1.1}}"),
            "couldn't use \"300.1.1.1\"",
        ),
    ]
}

/// All kinds of documents, and as little as there can be.
pub fn accepted() -> Vec<String> {
    let whole = format!(
        "{INIT}bootstrapTokens: [{{token: abcdef.0123456789abcdef, ttl: 168h0m0s, description: x, \
         usages: [signing, authentication], groups: ['system:bootstrappers:kubeadm:default-node-token']}}]\n\
         nodeRegistration:\n  name: cp1\n  criSocket: unix:///run/containerd/containerd.sock\n  imagePullSerial: true\n  \
         ignorePreflightErrors: [Mem]\n  kubeletExtraArgs: [{{name: node-ip, value: 10.0.0.1}}]\n  taints: []\n\
         timeouts: {{controlPlaneComponentHealthCheck: 15m0s, etcdAPICall: 5m0s}}\n{CLUSTER}\
         controlPlaneEndpoint: cp.pikube.internal:6443\nencryptionAlgorithm: ECDSA-P256\n\
         networking: {{podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12, dnsDomain: cluster.local}}\n\
         apiServer: {{certSANs: [cp1, cp1.local, 10.0.0.1], extraArgs: [{{name: v, value: '1'}}]}}\n{KUBELET}\
         cgroupDriver: systemd\nfailSwapOn: false\nmemorySwap: {{swapBehavior: LimitedSwap}}\nsystemReserved: {{memory: 150Mi}}\n\
         evictionHard: {{memory.available: 100Mi, nodefs.available: 10%}}\nlogging: {{flushFrequency: 5s}}\n{PROXY}mode: iptables\n"
    );
    let older = "apiVersion: kubeadm.k8s.io/v1beta3\nkind: JoinConfiguration\n\
        nodeRegistration: {kubeletExtraArgs: {node-ip: 10.0.0.1}}\n";
    vec![
        whole,
        format!("{INIT}{CLUSTER}"),
        format!("{JOIN}{BOOTSTRAP}"),
        format!("{older}{BOOTSTRAP}"),
    ]
}
