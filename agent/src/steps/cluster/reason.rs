//! Why the container runtime did not do something, in one line that is the same each time: what crictl and kubeadm print
//! of it has the time, an error code, and the number of a sandbox that was made for this one attempt. A node that waits
//! for days says one thing once.

use crate::host::Answer;

/// Where gRPC's own words end and the runtime's begin (`status.Error`, grpc-go); of several, one in the other, the last.
const REASON: &str = "desc = ";
/// Digits from which on a word of hexadecimal ones is a number that somebody has drawn (containerd's: 64; CRI's short
/// form: 13).
const NUMBER_DIGITS: usize = 12;

/// Why a crictl failed: its last line that says something.
pub fn of_answer(answer: &Answer) -> String {
    of(answer.last_word())
}

/// What a line says of the reason.
pub fn of(line: &str) -> String {
    // A line of a log: `time="…" level=fatal msg="…"` (logrus), `E0131 … "…" err="…"` (klog). In its quotes are others.
    let quoted = ["msg=\"", "err=\""].iter().find_map(|start| line.split_once(start));
    let text = quoted.map_or(line, |(_, rest)| rest);
    let text = match quoted {
        Some(_) => unquoted(text),
        None => text.to_owned(),
    };
    let reason = text.rsplit_once(REASON).map_or(text.as_str(), |(_, reason)| reason);
    // grpc-go puts its own connection's error between quotes.
    let whole = reason.trim();
    let inner = whole.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    without_numbers(inner.unwrap_or(whole))
}

/// What stands before the closing quote (Go's `strconv.Quote`).
fn unquoted(text: &str) -> String {
    let mut plain = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('n' | 't') => plain.push(' '),
                Some(other) => plain.push(other),
                None => {}
            },
            letter => plain.push(letter),
        }
    }
    plain
}

/// Without what was drawn for one attempt: numbers of sandboxes, and the port from which it was asked.
fn without_numbers(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once("->") {
        Some((from, to)) => {
            let from = from.rsplit_once(':').map_or(from, |(address, _)| address);
            format!("{from}->{to}")
        }
        None => word.to_owned(),
    });
    let text = words.collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let end =
            rest[at..].find(|c: char| !c.is_ascii_alphanumeric()).map_or(rest.len(), |n| at + n);
        let word = &rest[at..end];
        let hexadecimal = word.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        out.push_str(&rest[..at]);
        // A digest names a content, the same for everybody.
        let drawn = hexadecimal && word.len() >= NUMBER_DIGITS && !out.ends_with("sha256:");
        out.push_str(if drawn { "…" } else { word });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What crictl 1.27 to 1.36 prints, twice: only the last part is a reason, and it is the same both times.
    #[test]
    fn two_attempts_have_one_reason() {
        for (line, reason) in [
            (
                r#"time="2026-11-28T14:TIMEZ" level=fatal msg="run pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"SANDBOX\": plugin type=\"flannel\" failed (add): open /run/flannel/subnet.env: no such file or directory""#,
                r#"failed to setup network for sandbox "…": plugin type="flannel" failed (add): open /run/flannel/subnet.env: no such file or directory"#,
            ),
            (
                r#"E1128 14:TIME   23 remote_image.go:180] "PullImage from image service failed" err="rpc error: code = Unknown desc = failed to pull and unpack image \"a.example.org/b:1\": read udp 192.168.1.21:PORT->192.168.1.1:53: i/o timeout" image="a.example.org/b:1""#,
                r#"failed to pull and unpack image "a.example.org/b:1": read udp 192.168.1.21->192.168.1.1:53: i/o timeout"#,
            ),
            (
                "FATA[0TIME] pulling image: rpc error: code = NotFound desc = rpc error: code = Unknown desc = sha256:0123456789abcdef0123456789abcdef: not found",
                "sha256:0123456789abcdef0123456789abcdef: not found",
            ),
            (
                r#"time="2026-11-28T15:TIMEZ" level=error msg="validate service connection: validate CRI v1 runtime API for endpoint \"unix:///run/containerd/containerd.sock\": rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: no such file or directory\"""#,
                "transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: no such file or directory",
            ),
            ("cni plugin not initialized", "cni plugin not initialized"),
            ("nothing said", "nothing said"),
        ] {
            for (time, sandbox, port) in [
                (
                    "00:07",
                    "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0",
                    "41873",
                ),
                (
                    "31:45",
                    "5e9d1c0b2a3f48576675849302f1e0dd5e9d1c0b2a3f48576675849302f1e0dd",
                    "50022",
                ),
            ] {
                let line =
                    line.replace("TIME", time).replace("SANDBOX", sandbox).replace("PORT", port);
                let answer =
                    Answer { status: 1, stdout: String::new(), stderr: format!("{line}\n") };
                assert_eq!(of_answer(&answer), reason);
            }
        }
    }
}
