//! The container runtime, asked over its own interface (CRI, gRPC on a Unix socket): what kubeadm and kubelet ask.
//!
//! There is no crictl in Debian either: see [`command`].

mod crictl;
mod wire;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use h2::client;
use http::{Request, Uri};
use tokio::net::UnixStream;

use crate::place;
pub(crate) use crictl::run as command;
use wire::Message;

/// A runtime.
pub(crate) struct Runtime {
    socket: String,
}

/// A condition of the runtime.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    /// `RuntimeReady` or `NetworkReady`.
    pub(crate) kind: String,
    /// Whether it holds.
    pub(crate) holds: bool,
    /// Why not.
    pub(crate) message: String,
}

/// What a pod needs to have a sandbox.
pub(crate) struct Pod<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its namespace.
    pub(crate) namespace: &'a str,
    /// Its UID.
    pub(crate) uid: &'a str,
    /// Whether the kubelet has systemd make the cgroups.
    pub(crate) systemd: bool,
}

impl Runtime {
    /// The runtime at `unix:///PATH` or `/PATH`.
    pub(crate) fn at(socket: &str) -> Self {
        Self { socket: socket.strip_prefix("unix://").unwrap_or(socket).to_owned() }
    }

    /// Its name and version.
    ///
    /// # Errors
    /// It does not answer, or is none, in the words of Kubernetes' client of it.
    pub(crate) fn version(&self) -> Result<(String, String)> {
        let answer =
            self.call("RuntimeService/Version", Message::default(), 10).with_context(|| {
                format!("validate CRI v1 runtime API for endpoint \"unix://{}\"", self.socket)
            })?;
        Ok((answer.text(2), answer.text(3)))
    }

    /// Its conditions.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn status(&self) -> Result<Vec<Condition>> {
        let answer = self.call("RuntimeService/Status", Message::default(), 10)?;
        let conditions = answer.message(1).messages(1);
        Ok(conditions
            .into_iter()
            .map(|condition| Condition {
                kind: condition.text(1),
                holds: condition.number(2) == 1,
                message: condition.text(4),
            })
            .collect())
    }

    /// Whether it tells its cgroup driver (containerd 2 and later do).
    ///
    /// # Errors
    /// It does not answer at all.
    pub(crate) fn tells_its_config(&self) -> Result<bool> {
        match self.call("RuntimeService/RuntimeConfig", Message::default(), 10) {
            Ok(_) => Ok(true),
            Err(error) if format!("{error:#}").contains("Unimplemented") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it has an image.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn has(&self, image: &str) -> Result<bool> {
        let request = Message::default().with(1, Message::default().with_text(1, image));
        let answer = self.call("ImageService/ImageStatus", request, 30)?;
        Ok(!answer.messages(1).is_empty())
    }

    /// Brings an image.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) fn pull(&self, image: &str) -> Result<()> {
        let request = Message::default().with(1, Message::default().with_text(1, image));
        self.call("ImageService/PullImage", request, 1800)
            .map(drop)
            .with_context(|| format!("failed to pull image {image}"))
    }

    /// Its images, by name.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn images(&self) -> Result<Vec<String>> {
        let answer = self.call("ImageService/ListImages", Message::default(), 30)?;
        Ok(answer.messages(1).iter().flat_map(|image| image.texts(2)).collect())
    }

    /// Gives a pod its sandbox, if it has none that is ready (`SANDBOX_READY`, 0): id of the sandbox.
    ///
    /// # Errors
    /// The runtime cannot: no network, no pause image, no cgroup; in its words.
    pub(crate) fn sandbox(&self, pod: &Pod<'_>) -> Result<String> {
        let label = Message::default().with_text(1, "io.kubernetes.pod.uid").with_text(2, pod.uid);
        let list = Message::default().with(1, Message::default().with(3, label));
        for sandbox in self.call("RuntimeService/ListPodSandbox", list, 30)?.messages(1) {
            let id = sandbox.text(1);
            if sandbox.number(3) == 0 {
                return Ok(id);
            }
            // of before a reboot: it still has the name
            self.end(&id, "StopPodSandbox")?;
            self.end(&id, "RemovePodSandbox")?;
        }
        let metadata = Message::default()
            .with_text(1, pod.name)
            .with_text(2, pod.uid)
            .with_text(3, pod.namespace);
        let parent = if pod.systemd { "/kubepods.slice" } else { "/kubepods" };
        let mut config = Message::default()
            .with(1, metadata)
            .with_text(2, pod.name)
            .with_text(3, &format!("/var/log/pods/{}_{}_{}", pod.namespace, pod.name, pod.uid));
        for (key, value) in [
            ("io.kubernetes.pod.name", pod.name),
            ("io.kubernetes.pod.namespace", pod.namespace),
            ("io.kubernetes.pod.uid", pod.uid),
        ] {
            config = config.with(6, Message::default().with_text(1, key).with_text(2, value));
        }
        let config = config.with(8, Message::default().with_text(1, parent));
        let request = Message::default().with(1, config);
        let answer = self
            .call("RuntimeService/RunPodSandbox", request, 240)
            .context("Failed to create pod sandbox")?;
        Ok(answer.text(1))
    }

    /// The address of a sandbox in the pod network.
    ///
    /// # Errors
    /// There is no such sandbox.
    pub(crate) fn address(&self, sandbox: &str) -> Result<String> {
        let request = Message::default().with_text(1, sandbox);
        let answer = self.call("RuntimeService/PodSandboxStatus", request, 30)?;
        Ok(answer.message(1).message(5).text(1))
    }

    /// Starts a sandbox as a file for crictl describes it: its id.
    ///
    /// # Errors
    /// The runtime cannot, in its words.
    fn run_described(&self, metadata: [&str; 3], log: &str, parent: &str) -> Result<String> {
        let [name, uid, namespace] = metadata;
        let metadata = Message::default()
            .with_text(1, name)
            .with_text(2, uid)
            .with_text(3, namespace)
            .with_number(4, 1);
        let config = Message::default()
            .with(1, metadata)
            .with_text(2, name)
            .with_text(3, log)
            .with(8, Message::default().with_text(1, parent));
        let request = Message::default().with(1, config);
        Ok(self.call("RuntimeService/RunPodSandbox", request, 240)?.text(1))
    }

    /// Id and name of every sandbox.
    fn sandboxes(&self) -> Result<Vec<(String, String)>> {
        let there = self.call("RuntimeService/ListPodSandbox", Message::default(), 30)?;
        let sandboxes = there.messages(1).into_iter();
        Ok(sandboxes.map(|one| (one.text(1), one.message(2).text(1))).collect())
    }

    /// Stops a sandbox; or removes it.
    fn end(&self, sandbox: &str, method: &str) -> Result<()> {
        let request = Message::default().with_text(1, sandbox);
        self.call(&format!("RuntimeService/{method}"), request, 120).map(drop)
    }

    /// Stops and removes all sandboxes (`kubeadm reset`).
    ///
    /// # Errors
    /// It does not answer, or keeps one.
    pub(crate) fn remove_sandboxes(&self) -> Result<()> {
        for (sandbox, _) in self.sandboxes()? {
            self.end(&sandbox, "StopPodSandbox")?;
            self.end(&sandbox, "RemovePodSandbox")?;
        }
        Ok(())
    }

    fn call(&self, method: &str, request: Message, patience_s: u64) -> Result<Message> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("tokio")?;
        let work = unary(place::at(&self.socket), method.to_owned(), request.encode());
        runtime.block_on(async {
            match tokio::time::timeout(Duration::from_secs(patience_s), work).await {
                Ok(answer) => Message::decode(&answer?),
                Err(_) => {
                    bail!("rpc error: code = DeadlineExceeded desc = context deadline exceeded")
                }
            }
        })
    }
}

/// One call of gRPC over HTTP/2: five bytes in front of each message, the status in the trailers.
async fn unary(socket: impl AsRef<Path>, method: String, request: Vec<u8>) -> Result<Vec<u8>> {
    let path = socket.as_ref();
    let stream = UnixStream::connect(path).await.map_err(|error| {
        anyhow::anyhow!(
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix {}: connect: {}\"",
            path.display(),
            if error.kind() == std::io::ErrorKind::NotFound { "no such file or directory" } else { "connection refused" }
        )
    })?;
    let (mut sender, connection) = client::handshake(stream).await?;
    let pump = tokio::spawn(connection);
    let uri: Uri = format!("http://localhost/runtime.v1.{method}").parse()?;
    let head = Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut body) = sender.send_request(head, false)?;
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(request.len())?.to_be_bytes());
    frame.extend_from_slice(&request);
    body.send_data(Bytes::from(frame), true)?;
    let answer = answer.await?;
    let head = answer.headers().clone();
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await?.unwrap_or(head);
    pump.abort();
    let field = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
    match field("grpc-status").unwrap_or("0") {
        "0" => Ok(bytes.get(5..).unwrap_or_default().to_vec()),
        code => {
            let names = [
                "OK",
                "Canceled",
                "Unknown",
                "InvalidArgument",
                "DeadlineExceeded",
                "NotFound",
                "AlreadyExists",
                "PermissionDenied",
                "ResourceExhausted",
                "FailedPrecondition",
                "Aborted",
                "OutOfRange",
                "Unimplemented",
                "Internal",
                "Unavailable",
                "DataLoss",
                "Unauthenticated",
            ];
            let name = code.parse::<usize>().ok().and_then(|code| names.get(code).copied());
            bail!(
                "rpc error: code = {} desc = {}",
                name.unwrap_or(code),
                field("grpc-message").unwrap_or_default()
            )
        }
    }
}
