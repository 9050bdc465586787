//! The programs of the node in memory. Each does what the real one does, one write at a time: a power cut can come
//! between any two of them.

use super::{Access, Answer, Command, Error, Host as _, Look as _, Node, What, kubernetes};
use crate::render::{locale_gen, network::keyfile};

const ARCHIVE: &str = "/usr/lib/locale/locale-archive";

/// Runs a program to its end, or until the power goes.
pub(super) fn run(node: &Node, command: &Command) -> Result<Answer, Error> {
    if !node.has_power() {
        node.tick(command.program)?;
    }
    if let Some(answer) = super::packages::run(node, command)? {
        return Ok(answer);
    }
    if let Some(answer) = kubernetes::run(node, command) {
        return answer;
    }
    let args: Vec<&str> = command.args.iter().map(String::as_str).collect();
    match (command.program, &args[..]) {
        ("systemctl", ["is-active", unit]) => {
            let active = node.active.borrow().contains(*unit);
            if node.activating.borrow().contains(*unit) {
                return Ok(said(3, "activating\n"));
            }
            return Ok(if active { said(0, "active\n") } else { said(3, "inactive\n") });
        }
        ("systemctl", ["daemon-reload"]) => {
            node.tick("systemd")?;
            node.generate();
        }
        ("systemctl", [verb, unit] | ["--no-block", verb, unit]) => {
            return systemctl(node, verb, unit);
        }
        ("locale", ["-a"]) => {
            return Ok(said(0, &format!("C\nC.utf8\nPOSIX\n{}", node.get(ARCHIVE))));
        }
        ("locale-gen", []) => {
            node.remove(ARCHIVE)?;
            for line in node.get("/etc/locale.gen").lines().filter(|line| !line.starts_with('#')) {
                let locale = line.split(' ').next().unwrap_or(line);
                add_line(node, ARCHIVE, &locale_gen::normal_name(locale))?;
            }
        }
        ("useradd", [.., "-U", name]) => {
            let users = node.get("/etc/passwd").matches(":/home/").count();
            let number = 1000 + users;
            let account = format!("{name}:x:{number}:{number}::/home/{name}:/bin/bash");
            add_line(node, "/etc/passwd", &account)?;
            add_line(node, "/etc/shadow", &format!("{name}:*:1::::::"))?;
            add_line(node, "/etc/group", &format!("{name}:x:{number}:"))?;
        }
        ("groupadd", ["-g", number, name]) => {
            add_line(node, "/etc/group", &format!("{name}:x:{number}:"))?;
        }
        ("pwconv", []) => {
            let shadow = node.get("/etc/shadow");
            for line in node.get("/etc/passwd").lines() {
                let name = line.split(':').next().unwrap_or(line);
                if !shadow.lines().any(|line| line.starts_with(&format!("{name}:"))) {
                    add_line(node, "/etc/shadow", &format!("{name}:x:1::::::"))?;
                }
            }
        }
        ("usermod", ["-aG", groups, name]) => join(node, groups, name)?,
        ("usermod", ["-p", field, name]) => set_password(node, name, field)?,
        ("chpasswd", ["-e"]) => {
            let input = command.input.as_ref().map(|input| String::from_utf8_lossy(input));
            let input = input.unwrap_or_default().trim().to_owned();
            let (name, hash) = input.split_once(':').unwrap();
            set_password(node, name, hash)?;
        }
        ("ssh-keygen", ["-A"]) => {
            for kind in ["rsa", "ecdsa", "ed25519"] {
                let path = format!("/etc/ssh/ssh_host_{kind}_key");
                if node.get(&path).is_empty() {
                    node.tick(&path)?;
                    node.put(&path, "");
                    node.tick(&path)?;
                    node.place(&path, What::File(b"key".to_vec()), Access::root(0o600));
                }
            }
        }
        ("modprobe", [module]) => {
            node.tick("modules")?;
            node.load(module);
        }
        ("swapoff", ["-a"]) => {
            node.tick("swap")?;
            node.swapoff();
        }
        ("nmcli", ["connection", "reload"]) => {
            node.tick("nm")?;
            let names = node.list(keyfile::FOLDER)?;
            node.put("/run/nm-knows", names.join("\n").replace(".nmconnection", ""));
        }
        ("nmcli", ["-t", "-f", "NAME", "connection", "show"]) => {
            return Ok(said(0, &node.get("/run/nm-knows")));
        }
        ("nmcli", ["--wait", "30", "connection", "up", "id", id]) => {
            node.tick("nm")?;
            let known = node.get("/run/nm-knows").lines().any(|name| name == *id);
            return Ok(said(if known { 0 } else { 10 }, ""));
        }
        ("nmcli", ["radio", "wifi", "on"])
        | ("netplan", ["generate" | "apply"])
        | ("networkctl", ["reload"] | ["reconfigure", _])
        | ("ifup" | "ifdown", ["--force", _])
        | ("dhclient", ["-r", "-pf", _, "-lf", _, "eth0"])
        | ("wpa_cli", ["-i", _, "reconfigure"])
        | ("iw", ["reg", "set", _]) => node.tick(command.program)?,
        ("wpa_supplicant", ["-v"]) => {
            let version = if node.exists("/etc/jessie")? { "v2.3" } else { "v2.10" };
            return Ok(said(0, &format!("wpa_supplicant {version}\nCopyright (c)\n")));
        }
        ("df", ["-B1", "--output=size", "/"]) => {
            return Ok(said(0, &format!("1B-blocks\n{}\n", node.root_bytes.get())));
        }
        ("setupcon", ["--save-only"]) => return Ok(said(1, "we are not on a console\n")),
        _ => return Ok(said(127, &format!("{command}: not on this node\n"))),
    }
    Ok(Answer::default())
}

pub(super) fn said(status: i32, stdout: &str) -> Answer {
    Answer { status, stdout: stdout.to_owned(), stderr: String::new() }
}

fn systemctl(node: &Node, verb: &str, unit: &str) -> Result<Answer, Error> {
    node.tick("systemd")?;
    let template = match unit.split_once('@') {
        Some((name, _)) => format!("{name}@.service"),
        None => unit.to_owned(),
    };
    let installed = node.exists(&format!("/lib/systemd/system/{template}"))?
        || node.exists(&format!("/usr/lib/systemd/system/{template}"))?
        || node.exists(&format!("/etc/systemd/system/{template}"))?;
    if !installed || node.masked(unit) {
        return Ok(said(5, &format!("Unit {unit} not found or masked.\n")));
    }
    match verb {
        "enable" => {
            let path = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
            let target = format!("/lib/systemd/system/{unit}");
            node.place(&path, What::Link(target), Access::root(0o777));
        }
        "start" | "restart" => {
            node.active.borrow_mut().insert(unit.to_owned());
            if unit == "systemd-timesyncd.service" {
                node.put("/run/systemd/timesync/synchronized", "");
                if let Ok(time) = node.get("/run/ntp-says").parse() {
                    node.now.set(time);
                }
            }
        }
        "disable" => {
            let path = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
            node.entries.borrow_mut().remove(&path);
        }
        "stop" => {
            node.active.borrow_mut().remove(unit);
        }
        _ => {}
    }
    Ok(Answer::default())
}

fn add_line(node: &Node, path: &str, line: &str) -> Result<(), Error> {
    node.tick(path)?;
    let access = node.access(path).unwrap_or(Access::root(0o644));
    let text = format!("{}{line}\n", node.get(path));
    node.place(path, What::File(text.into_bytes()), access);
    Ok(())
}

fn change_lines(node: &Node, path: &str, change: impl Fn(&str) -> String) -> Result<(), Error> {
    node.tick(path)?;
    let text: String = node.get(path).lines().map(|line| change(line) + "\n").collect();
    node.put(path, text);
    Ok(())
}

fn set_password(node: &Node, name: &str, field: &str) -> Result<(), Error> {
    change_lines(node, "/etc/shadow", |line| match line.split_once(':') {
        Some((found, _)) if found == name => format!("{name}:{field}:1::::::"),
        _ => line.to_owned(),
    })
}

fn join(node: &Node, groups: &str, name: &str) -> Result<(), Error> {
    change_lines(node, "/etc/group", |line| {
        let group = line.split(':').next().unwrap_or(line);
        if !groups.split(',').any(|wanted| wanted == group) {
            return line.to_owned();
        }
        let comma = if line.ends_with(':') { "" } else { "," };
        format!("{line}{comma}{name}")
    })
}
