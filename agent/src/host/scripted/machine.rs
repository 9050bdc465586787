//! What a booted node looks like, and what a boot makes of what is on the medium.

use jiff::Timestamp;

use super::packages::KEY;
use super::{Access, Look as _, Node, PLAN, SECRETS, TOKEN, What};
use crate::render::{SYSCTLS, fstab, network::keyfile, variables};

const SWAPS: &str = "Filename\tType\tSize\tUsed\tPriority\n";

impl Node {
    /// A Raspberry Pi OS with everything that a step could meet: both kinds of swap, an old name, `pi`.
    pub fn pi() -> Self {
        let node = Self::bare();
        for (path, content) in IMAGE {
            node.put(path, content);
        }
        node.place(
            "/etc/default/locale",
            What::File(b"LANG=C.UTF-8\n".to_vec()),
            Access::root(0o644),
        );
        node.place(
            "/etc/localtime",
            What::Link("/usr/share/zoneinfo/Etc/UTC".to_owned()),
            Access::root(0o777),
        );
        node.place("/etc/sudoers.d", What::Folder, Access::root(0o750));
        node.place("/home", What::Folder, Access::root(0o755));
        node.place("/var/swap", What::File(b"swap".to_vec()), Access::root(0o600));
        for unit in [
            "dphys-swapfile.service",
            "systemd-timesyncd.service",
            "NetworkManager.service",
            "apt-daily.timer",
            "apt-daily-upgrade.timer",
        ] {
            let path = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
            node.place(
                &path,
                What::Link(format!("/lib/systemd/system/{unit}")),
                Access::root(0o777),
            );
        }
        node.put("/etc/pikube/pikube.toml", PLAN);
        node.put("/etc/pikube/pikube-secrets.toml", SECRETS);
        node.put("/boot/firmware/pikube-secrets.toml", SECRETS);
        for url in [
            "https://packages.example.org/v1.36/deb/Release.key",
            "https://docker.example.org/linux/debian/gpg",
        ] {
            node.put(&format!("web:{url}"), KEY);
        }
        let page = "HTTP/1.1 404 Not Found\r\nDate: Sat, 21 Nov 2026 06:00:30 GMT\r\n\r\n";
        for port in [":80", ":443", ":3142"] {
            node.answering.borrow_mut().insert(port.to_owned(), page.into());
        }
        node.boot();
        node
    }

    /// As [`Node::pi`], for a worker whose master is up.
    pub fn worker() -> Self {
        let node = Self::pi();
        let plan = node.get("/etc/pikube/pikube.toml");
        let plan = plan
            .replace("role = \"master\"", "role = \"worker\"")
            .replace("hostname = \"laperouse\"", "hostname = \"fregate\"")
            .replace("ssid = \"harbour\"", "ssid = \"harbour\"\nsecurity = \"open\"");
        node.put("/etc/pikube/pikube.toml", plan);
        let secrets = format!("schema = 1\n[cluster]\ntoken = \"{TOKEN}\"\n");
        node.put("/etc/pikube/pikube-secrets.toml", secrets);
        node.answering.borrow_mut().insert(":6443".to_owned(), Vec::new());
        node
    }

    /// A boot: what is not on the medium is made anew from what is.
    pub fn boot(&self) {
        self.restore_power();
        for folder in ["/run/", "/proc/", "/sys/"] {
            self.drop_below(folder);
        }
        self.active.borrow_mut().clear();
        self.now.set("2024-07-04T00:00:00Z".parse::<Timestamp>().unwrap());
        self.put("/proc/meminfo", "MemTotal:        3884360 kB\n");
        // The cluster's DNS, wherever it runs.
        let answer = vec![0, 12, 0x70, 0x69, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        self.answering.borrow_mut().insert("10.96.0.10:53".to_owned(), answer);
        self.put("/run/dns/laperouse.local", "192.168.1.10\n");
        self.put("/proc/self/mounts", "/dev/mmcblk0p1 /boot/firmware vfat rw 0 0\n");
        self.put("/proc/self/mountinfo", "24 1 179:2 / / rw,noatime - ext4 /dev/root rw\n");
        self.put("/proc/uptime", "21.07 60.11\n");
        self.put("/sys/dev/block/179:2/size", "62333952\n");
        self.root_bytes.set(31_300_000_000);
        for interface in ["eth0/type", "lo/type", "wlan0/phy80211/index"] {
            self.put(&format!("/sys/class/net/{interface}"), "1\n");
        }
        self.put("/sys/class/net/eth0/operstate", "up\n");
        self.put("/sys/class/net/wlan0/operstate", "down\n");
        let address = "2: eth0    inet 192.168.1.21/24 brd 192.168.1.255 scope global eth0\n";
        self.put("/run/ip-address", address);
        self.put("/run/ip-route", "default via 192.168.1.1 dev eth0 proto static metric 100\n");
        self.put("/run/dns/packages.example.org", "203.0.113.5\n");
        self.put("/run/dns/docker.example.org", "203.0.113.6\n");
        if self.exists(crate::render::TIMESYNCD).unwrap() {
            self.put("/run/systemd/timesync/synchronized", "");
        }
        let remembered = self.get("/var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan");
        self.put("/sys/class/rfkill/rfkill0/type", "wlan\n");
        self.put("/sys/class/rfkill/rfkill0/soft", remembered);
        self.put("/sys/class/rfkill/rfkill1/type", "bluetooth\n");
        self.put("/sys/class/rfkill/rfkill1/soft", "1\n");
        if self
            .exists("/etc/systemd/system/multi-user.target.wants/NetworkManager.service")
            .unwrap()
        {
            let names = self.list(keyfile::FOLDER).unwrap().join("\n");
            self.put("/run/nm-knows", names.replace(".nmconnection", ""));
        }
        self.put("/proc/sys/kernel/osrelease", "6.12.47+rpt-rpi-v8\n");
        self.put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        let name = self.get("/etc/hostname");
        self.put("/proc/sys/kernel/hostname", if name.is_empty() { "(none)\n" } else { &name });
        for module in self.get("/etc/modules-load.d/pikube.conf").lines() {
            self.load(module);
        }
        let settings = self.get("/etc/sysctl.d/90-pikube.conf");
        for (key, _) in SYSCTLS {
            let value = variables::get(&settings.replace(" = ", "="), key);
            let path = format!("/proc/sys/{}", key.replace('.', "/"));
            if !key.contains("bridge") || self.exists(&path).unwrap() {
                self.put(&path, value.unwrap_or_else(|| "0".to_owned()) + "\n");
            }
        }
        self.generate();
        let targets = ["multi-user.target.wants", "timers.target.wants"];
        let wanted = targets.map(|folder| self.list(&format!("/etc/systemd/system/{folder}")));
        for unit in wanted.into_iter().flat_map(Result::unwrap) {
            self.active.borrow_mut().insert(unit);
        }
        self.start_swap();
    }

    /// What rpi-swap's generator does at boot and at daemon-reload.
    pub(crate) fn generate(&self) {
        self.drop_below("/run/systemd/generator");
        let settings = self.get("/etc/rpi/swap.conf.d/90-pikube.conf");
        if variables::get(&settings, "Mechanism").as_deref() != Some("none") {
            self.put("/run/systemd/generator/dev-zram0.swap", "");
        }
        if !fstab::swap_lines(&self.get("/etc/fstab")).is_empty() {
            self.put("/run/systemd/generator/dev-sda3.swap", "");
        }
    }

    pub(crate) fn masked(&self, unit: &str) -> bool {
        let path = format!("/etc/systemd/system/{unit}");
        self.read_link(&path).unwrap().as_deref() == Some("/dev/null")
    }

    fn start_swap(&self) {
        let mut swaps = SWAPS.to_owned();
        let wants = "/etc/systemd/system/multi-user.target.wants/dphys-swapfile.service";
        let size = variables::get(&self.get("/etc/dphys-swapfile"), "CONF_SWAPSIZE");
        if self.exists(wants).unwrap()
            && !self.masked("dphys-swapfile.service")
            && size.as_deref() != Some("0")
        {
            self.place("/var/swap", What::File(b"swap".to_vec()), Access::root(0o600));
            swaps.push_str("/var/swap file 524284 0 -2\n");
        }
        for (unit, device) in [("dev-zram0.swap", "/dev/zram0"), ("dev-sda3.swap", "/dev/sda3")] {
            let generated = format!("/run/systemd/generator/{unit}");
            if self.exists(&generated).unwrap() && !self.masked(unit) {
                swaps.push_str(&format!("{device} partition 1024 0 100\n"));
            }
        }
        self.put("/proc/swaps", swaps);
    }

    /// Loads a module, with what it brings.
    pub(crate) fn load(&self, module: &str) {
        self.put(&format!("/sys/module/{module}/refcnt"), "0\n");
        if module == "br_netfilter" {
            for key in ["iptables", "ip6tables"] {
                self.put(&format!("/proc/sys/net/bridge/bridge-nf-call-{key}"), "0\n");
            }
        }
    }

    /// All swap off, until the next boot.
    pub(crate) fn swapoff(&self) {
        self.put("/proc/swaps", SWAPS);
    }
}

const IMAGE: [(&str, &str); 44] = [
    ("/etc/hostname", "raspberrypi\n"),
    ("/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\traspberrypi\n"),
    ("/etc/timezone", "Etc/UTC\n"),
    ("/usr/share/zoneinfo/Europe/Paris", "TZif2"),
    ("/usr/share/zoneinfo/Etc/UTC", "TZif2"),
    ("/etc/locale.gen", "# de_DE.UTF-8 UTF-8\n# en_GB.UTF-8 UTF-8\n"),
    ("/usr/share/i18n/SUPPORTED", "de_DE.UTF-8 UTF-8\nen_GB.UTF-8 UTF-8\n"),
    ("/usr/sbin/locale-gen", ""),
    ("/usr/bin/setupcon", ""),
    ("/etc/default/keyboard", "XKBMODEL=\"pc105\"\nXKBLAYOUT=\"us\"\nXKBVARIANT=\"\"\n"),
    ("/etc/cloud/cloud.cfg", ""),
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n"),
    ("/etc/shadow", "root:*:1::::::\npi:!:1::::::\n"),
    ("/etc/group", "root:x:0:\nsudo:x:27:pi\nvideo:x:44:\ngpio:x:993:pi\npi:x:1000:\n"),
    ("/etc/skel/.bashrc", "# bash\n"),
    ("/etc/skel/.config/x", "y\n"),
    ("/etc/ssh/sshd_config", ""),
    ("/etc/dphys-swapfile", "# size\nCONF_SWAPSIZE=512\n"),
    ("/etc/rpi/swap.conf", "[Main]\n"),
    ("/etc/fstab", "PARTUUID=a-02 / ext4 defaults 0 1\n/dev/sda3 none swap sw 0 0\n"),
    ("/lib/systemd/system/dphys-swapfile.service", ""),
    ("/lib/systemd/system/systemd-timesyncd.service", ""),
    ("/lib/systemd/system/systemd-journald.service", ""),
    ("/lib/systemd/system/ssh.service", ""),
    ("/lib/systemd/system/avahi-daemon.service", ""),
    ("/lib/systemd/system/systemd-zram-setup@.service", ""),
    ("/lib/systemd/system/NetworkManager.service", ""),
    ("/usr/bin/nmcli", ""),
    ("/usr/sbin/NetworkManager", ""),
    ("/usr/lib/apt/apt-helper", ""),
    ("/etc/ssl/certs/ca-certificates.crt", ""),
    ("/etc/os-release", "PRETTY_NAME=\"Debian 13\"\nID=debian\nVERSION_CODENAME=trixie\n"),
    ("/var/lib/dpkg/status", "avahi-daemon 0.8-16 ii\nca-certificates 20250419 ii\n"),
    ("/lib/systemd/system/apt-daily.timer", ""),
    ("/lib/systemd/system/apt-daily-upgrade.timer", ""),
    ("/usr/sbin/iw", ""),
    ("/var/lib/NetworkManager/NetworkManager.state", "[main]\nWirelessEnabled=false\n"),
    ("/var/lib/systemd/rfkill/platform-3f300000.mmcnr:wlan", "1\n"),
    ("/var/lib/systemd/rfkill/platform-3f201000.serial:bluetooth", "1\n"),
    ("/etc/apt/sources.list", "deb http://a.example.org/debian trixie main\n"),
    ("/etc/apt/sources.list.d/raspi.list", "deb http://r.example.org/debian trixie main\n"),
    ("/etc/NetworkManager/system-connections/preconfigured.nmconnection", "[connection]\n"),
    ("/usr/local/lib/pikube/pikube-agent", "ELF"),
    ("/boot/firmware/userconf.txt", "captain:$6$saltsalt$0123456789abcdefSECRET\n"),
];
