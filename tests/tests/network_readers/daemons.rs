//! The network managers themselves, at work on an interface in a network namespace of its own: what our files say is what
//! the kernel has afterwards. The namespace goes with its first process, and everything in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use pikube_agent::render::block;
use pikube_agent::render::network::{dhcpcd, keyfile, networkd};
use pikube_tests::needs::{Missing, command, or_skip};

use super::programs::{Readers, folder, namespace, put, run, stdout};
use super::{plan, wanted};

const ADDRESS: &str = r#"
[[network.addresses]]
interface = "pikube-test0"
address = "192.168.77.21/24"
router = "192.168.77.1"
dns = ["192.168.77.1"]
"#;

/// Tries `condition` every half second until it holds, for a minute at most: these machines may be slow.
const UNTIL: &str = "until_it() { n=0; until eval \"$1\"; do n=$((n+1)); [ $n -lt 120 ] || break; sleep 0.5; done; }; ";

/// Folders that daemons write into are empty, and `/sys` is read-only, as in a container: nobody waits for udev.
const SETUP: &str = "set -e; mount -t tmpfs pikube-test /run; mount -t tmpfs pikube-test /var/lib; \
    mount -t sysfs -o ro pikube-test /sys; ip link set lo up; \
    ip link add pikube-test0 type veth peer name pikube-test1; \
    ip link set pikube-test1 up; ip link set pikube-test0 up; set +e; ";

/// What a script in such a namespace says; it ends with the addresses and routes.
fn in_namespace(script: &str, environment: &Command) -> String {
    let mut unshare = Command::new("unshare");
    unshare.args(["-n", "-m", "-p", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
    unshare.arg(format!(
        "{SETUP}{UNTIL}{script}; until_it 'ip route show | grep -q ^default'; echo KERNEL; \
         ip -4 addr show pikube-test0; ip route show"
    ));
    for (key, value) in environment.get_envs() {
        unshare.env(key, value.unwrap_or_default());
    }
    let output = run(unshare, "");
    format!("{}\n{}", String::from_utf8_lossy(&output.stderr), stdout(&output))
}

fn assert_set(said: &str) {
    let kernel = said.split("KERNEL").nth(1).unwrap_or_else(|| panic!("{said}"));
    assert!(kernel.contains("inet 192.168.77.21/24"), "{said}");
    assert!(kernel.contains("default via 192.168.77.1 dev pikube-test0"), "{said}");
}

/// A program among the readers, where a namespace can be had.
fn daemon(paths: &[&str]) -> Result<(Readers, Command), Missing> {
    namespace()?;
    let readers = Readers::new()?;
    let program = readers.program(paths)?;
    Ok((readers, program))
}

fn path(program: &Command) -> PathBuf {
    PathBuf::from(program.get_program())
}

#[test]
fn dhcpcd_sets_the_address() {
    let needed = daemon(&["usr/sbin/dhcpcd", "sbin/dhcpcd"]);
    let Some((_, program)) = or_skip("dhcpcd_sets_the_address", needed) else { return };
    let folder = folder();
    let plan = plan(ADDRESS);
    let theirs = "hostname\nduid\noption rapid_commit\nslaac private\n";
    let conf = block::merge(theirs, &dhcpcd::block(&wanted(&plan, None)));
    let conf = put(folder.path(), "dhcpcd.conf", &conf);
    let said = in_namespace(
        &format!(
            "mkdir -p /var/lib/dhcpcd /run/dhcpcd; \
             {} -f {} -c /bin/true -4 -B pikube-test0 & true",
            path(&program).display(),
            conf.display()
        ),
        &program,
    );
    assert_set(&said);
}

#[test]
fn networkd_sets_the_address() {
    const PROGRAM: &str = "/lib/systemd/systemd-networkd";
    let here = || {
        namespace()?;
        command("networkctl", "systemd")?;
        let there = Path::new(PROGRAM).is_file();
        there.then_some(()).ok_or_else(|| Missing::new(PROGRAM, "apt-get install systemd"))
    };
    if or_skip("networkd_sets_the_address", here()).is_none() {
        return;
    }
    let folder = folder();
    let plan = plan(ADDRESS);
    for draft in networkd::drafts(&wanted(&plan, None)) {
        put(folder.path(), draft.path.rsplit('/').next().unwrap(), &draft.text("").unwrap());
    }
    let said = in_namespace(
        &format!(
            "mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases \
             /run/systemd/netif/lldp; cp {}/* /run/systemd/network/; \
             chmod 644 /run/systemd/network/*; chown -R systemd-network /run/systemd/netif; \
             SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console {PROGRAM} & true",
            folder.path().display()
        ),
        &Command::new("true"),
    );
    assert_set(&said);
    let complaints: Vec<&str> = said.lines().filter(|l| l.contains("10-pikube-")).collect();
    assert!(complaints.iter().all(|line| !line.contains("ignoring")), "{complaints:#?}");
}

/// A bus of one's own, on which everybody may do everything.
const BUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#;

#[test]
fn network_manager_loads_the_keyfiles_and_sets_the_address() {
    let test = "network_manager_loads_the_keyfiles_and_sets_the_address";
    let needed = daemon(&["usr/sbin/NetworkManager"]).and_then(|(readers, program)| {
        let nmcli = readers.program(&["usr/bin/nmcli"])?;
        Ok((program, nmcli, command("dbus-daemon", "dbus")?))
    });
    let Some((program, nmcli, dbus)) = or_skip(test, needed) else { return };
    let folder = folder();
    let plan = plan(&format!(
        "{ADDRESS}[wifi]\ncountry = \"FR\"\n[[wifi.networks]]\nssid = \"Café; du Port\"\nhidden = true\n"
    ));
    let secrets = pikube_config::Secrets::from_toml(
        "schema = 1\n[[wifi.networks]]\nssid = \"Café; du Port\"\npassword = \" sword\\\\fish \"\n",
    )
    .unwrap();
    for draft in keyfile::drafts(&wanted(&plan, Some(&secrets))) {
        put(
            folder.path(),
            &format!("profiles/{}", draft.path.rsplit('/').next().unwrap()),
            &draft.text("").unwrap(),
        );
    }
    let shown = folder.path().display();
    put(
        folder.path(),
        "nm.conf",
        &format!(
            "[main]\nplugins=keyfile\ndns=none\nrc-manager=unmanaged\nauth-polkit=false\ndhcp=internal\n[keyfile]\npath={shown}/profiles\n"
        ),
    );
    put(folder.path(), "bus.conf", BUS);
    let nmcli = path(&nmcli);
    let nmcli = nmcli.display();
    // The secret is asked for until it comes: handing it out makes NetworkManager update the profile, and nmcli, told of
    // that while it waits for the secret, sometimes shows the profile without it.
    let said = in_namespace(
        &format!(
            "mkdir -p /run/dbus /run/NetworkManager /var/lib/NetworkManager; \
             {} --config-file={shown}/bus.conf --nofork & until_it 'test -S /run/dbus/system_bus_socket'; \
             {} --no-daemon --log-level=INFO --config={shown}/nm.conf --config-dir={shown}/none \
               --system-config-dir={shown}/none --intern-config={shown}/intern \
               --state-file=/var/lib/NetworkManager/state & \
             until_it '{nmcli} -t -f RUNNING general 2>/dev/null | grep -qx running'; \
             {nmcli} connection reload; {nmcli} -t -f NAME connection show; \
             {nmcli} -g 802-11-wireless.ssid,802-11-wireless.hidden connection show pikube-wifi-1; \
             until_it '{nmcli} -s -g 802-11-wireless-security.psk connection show pikube-wifi-1 >/run/psk; \
               grep -q . /run/psk'; cat /run/psk; \
             {nmcli} -g GENERAL.STATE,GENERAL.REASON device show pikube-test0; \
             {nmcli} device set pikube-test0 managed yes; \
             {nmcli} --wait 30 connection up id pikube-pikube-test0",
            dbus.display(),
            path(&program).display(),
        ),
        &program,
    );
    for line in ["pikube-pikube-test0", "pikube-wifi-1", "Café; du Port", "yes", " sword\\fish "] {
        assert!(
            said.lines().any(|found| found == line || found.replace("\\\\", "\\") == line),
            "{line}: {said}"
        );
    }
    assert_set(&said);
}
