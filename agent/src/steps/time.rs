//! The right time. Certificates and apt's lists are judged by it, and a Pi has no clock of its own (`kubernetes-on-pi.md`
//! D10): waits for NTP; where nobody answers, the date that a web server gives is near enough. Both are believed between
//! the bounds of the card only, and neither is a reason for a person to act: another server, or the same one later, may
//! know better.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::web::{self, Url};
use super::{bounds, units};
use crate::host::{Access, Command, Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "time",
    title: "right time",
    class: Class::Essential,
    wanted: |plan| plan.kubernetes.is_some(),
    check,
    apply,
    ahead: None,
};

/// systemd-timesyncd(8): there once it has set the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// What keeps the clock on most systems.
const TIMESYNCD: &str = "systemd-timesyncd.service";
/// Where we note that a web server has agreed, in this boot.
const AGREED: &str = "/run/pikube/time";
/// NTP services that we have stopped in this boot, because of what they said; one a line.
const STOPPED: &str = "/run/pikube/ntp-stopped";
/// Services that keep the clock, as far as Debian and Ubuntu have them.
const KEEPERS: [&str; 5] =
    [TIMESYNCD, "chrony.service", "ntpsec.service", "ntp.service", "openntpd.service"];
/// How long NTP is waited for before a web server is asked, and between two looks.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(2);
/// How far the clock may be off, in seconds: certificates made here are good from well before now (D6).
const TOLERANCE_S: i64 = 60;

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    if let Some(why) = bounds::too_late(context, host.now()) {
        return Ok(Check::Needed(format!("the clock is ahead: {why}")));
    }
    if host.exists(SYNCHRONIZED)? || host.exists(AGREED)? {
        return Ok(Check::Satisfied);
    }
    if !host.live() {
        return Ok(Check::Unknown);
    }
    Ok(if is_synchronized(host)? {
        Check::Satisfied
    } else {
        Check::Needed(format!("no NTP server has set the clock, which shows {:.0}", host.now()))
    })
}

/// Whether only a web server has told the time, in this boot: near enough for certificates, and nothing to judge by what
/// has run out.
pub fn is_guessed(host: &dyn Look) -> Result<bool, Error> {
    Ok(host.exists(AGREED)? && !is_synchronized(host)?)
}

/// Whatever keeps the clock (chrony, ntpd) tells the kernel, and timedatectl(1) us: before systemd 239 as `NTP
/// synchronized`, without `show`.
fn is_synchronized(host: &dyn Look) -> Result<bool, Error> {
    if host.exists(SYNCHRONIZED)? {
        return Ok(true);
    }
    let answer = host.ask(&Command::new("timedatectl", ["status"]));
    let told = ["System clock synchronized: yes", "NTP synchronized: yes"];
    Ok(answer.is_ok_and(|answer| answer.stdout.lines().any(|line| told.contains(&line.trim()))))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    let mut lied = bounds::too_late(context, host.now());
    if lied.is_some() {
        put_back(context, host)?;
    }
    // It may have given up for now: each change of the network at boot (docker's bridge is one) is a try, and after a few
    // in vain the next is a quarter of an hour off.
    if units::state(host, TIMESYNCD)?.as_deref() == Some("active") {
        units::systemctl(host, "restart", TIMESYNCD)?;
    }
    start_again(host)?;
    let began = host.elapsed();
    while host.elapsed() - began < PATIENCE {
        if is_synchronized(host)? {
            lied = bounds::too_late(context, host.now());
            if lied.is_none() {
                return Ok(Notes::new());
            }
            stop_keepers(host)?;
            put_back(context, host)?;
            break;
        }
        host.sleep(PAUSE);
    }
    let nobody = match &lied {
        Some(why) => format!("the NTP server is not believed ({why})"),
        None => "no NTP server answers (UDP port 123 may be shut)".to_owned(),
    };
    let waiting = |why: String| Stop::Again(format!("the right time: {nobody}, and {why}"));
    let (server, date) = date_of_a_server(context, host).map_err(waiting)?;
    let floor = bounds::earliest(context);
    if floor.is_some_and(|floor| date.as_second() < floor.as_second() - TOLERANCE_S) {
        let why =
            format!("by the clock of `{server}` it is {date:.0}, before the card was written");
        return Err(waiting(why));
    }
    if let Some(why) = bounds::too_late(context, date) {
        return Err(waiting(format!("neither is the clock of `{server}`: {why}")));
    }
    let mut notes = Notes::new();
    let off = date.as_second() - host.now().as_second();
    if off.abs() > TOLERANCE_S || lied.is_some() {
        host.set_clock(date)?;
        notes.push(format!(
            "{nobody}: the clock is set by the date of `{server}`, {off} s from before"
        ));
    }
    host.write(AGREED, format!("{server}\n").as_bytes(), Access::root(0o644))?;
    Ok(notes)
}

/// A clock that is beyond all bounds is put where it cannot be wrong by more. That also takes the kernel's word back that
/// it is synchronized (settimeofday(2): `STA_UNSYNC`); timesyncd's is a file.
fn put_back(context: &Context, host: &dyn Host) -> Result<(), Error> {
    if let Some(floor) = bounds::earliest(context) {
        host.set_clock(floor)?;
    }
    host.remove(SYNCHRONIZED)?;
    host.remove(AGREED)
}

/// Stops whatever would set the clock ahead again, until the next try.
fn stop_keepers(host: &dyn Host) -> Result<(), Error> {
    let mut stopped = host.text(STOPPED)?.unwrap_or_default();
    for unit in KEEPERS {
        if units::state(host, unit)?.as_deref() == Some("active") {
            stopped.push_str(&format!("{unit}\n"));
            host.write(STOPPED, stopped.as_bytes(), Access::root(0o644))?;
            units::systemctl(host, "stop", unit)?;
        }
    }
    Ok(())
}

/// Gives them another chance.
fn start_again(host: &dyn Host) -> Result<(), Error> {
    for unit in host.text(STOPPED)?.unwrap_or_default().lines() {
        units::systemctl(host, "start", unit)?;
    }
    host.remove(STOPPED)
}

/// `Date:` of an answer over plain HTTP (RFC 9110 §6.6.1); a server that wants TLS says it when it sends us there.
fn date_of_a_server(context: &Context, host: &dyn Look) -> Result<(String, Timestamp), String> {
    let kubernetes = context.plan.kubernetes.as_ref();
    let url = kubernetes.and_then(|it| it.repository.as_deref().or(it.downloads.as_deref()));
    let url = Url::of(url.unwrap_or_default());
    let url = if url.tls { Url { tls: false, port: 80, ..url } } else { url };
    let page = web::ask(host, Url { path: "/", ..url }, web::proxy(&context.plan))?;
    let date =
        page.header("Date").and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
    let date = date.ok_or_else(|| format!("`{}` gives no date", url.host))?;
    Ok((url.host.to_owned(), date))
}

#[cfg(test)]
mod tests {
    use pikube_config::FirstbootPlan;

    use super::*;
    use crate::host::scripted::Node;
    use crate::plan::Facts;

    fn context() -> Context {
        let proxy = "apt_proxy = \"http://192.168.1.2:3142\"\n";
        let plan = crate::host::scripted::PLAN.replace(proxy, "");
        Context::new(FirstbootPlan::from_toml(&plan).unwrap(), None, Facts::default())
    }

    fn node(date: &str) -> Node {
        let node = Node::pi();
        node.set_clock("2026-11-21T06:00:00Z".parse().unwrap()).unwrap();
        node.entries.borrow_mut().remove(SYNCHRONIZED);
        node.active.borrow_mut().remove(TIMESYNCD);
        let page = format!("HTTP/1.1 301 Moved\r\n{date}Location: https://x\r\n\r\n");
        node.answering.borrow_mut().insert(":80".to_owned(), page.into_bytes());
        node
    }

    #[test]
    fn ntp_is_waited_for_and_is_enough() {
        let node = node("");
        assert!(matches!(check(&context(), &node), Ok(Check::Needed(_))));
        node.put(SYNCHRONIZED, "");
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
        apply(&context(), &node).unwrap();
        assert_eq!(node.now().to_string(), "2026-11-21T06:00:00Z");
        node.entries.borrow_mut().remove(SYNCHRONIZED);
        // Of Debian 12, and of Debian 9.
        node.put(
            "/run/timedatectl",
            "System clock synchronized: no\n              NTP service: active\n",
        );
        assert!(matches!(check(&context(), &node), Ok(Check::Needed(_))));
        node.put(
            "/run/timedatectl",
            "System clock synchronized: yes\n              NTP service: active\n",
        );
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
        node.put("/run/timedatectl", " Network time on: yes\nNTP synchronized: yes\n");
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied, "chrony");
    }

    #[test]
    fn a_service_that_has_given_up_for_now_is_asked_again() {
        let node = node("");
        node.active.borrow_mut().insert(TIMESYNCD.to_owned());
        apply(&context(), &node).unwrap();
        let restart = format!("systemctl restart {TIMESYNCD}");
        assert!(node.log.borrow().contains(&restart));
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
    }

    #[test]
    fn a_web_server_s_date_sets_a_clock_that_is_off_and_leaves_one_that_is_near() {
        for (date, shows, noted) in [
            ("Sat, 05 Dec 2026 10:00:00 GMT", "2026-12-05T10:00:00Z", 1),
            ("Sat, 21 Nov 2026 06:02:40 GMT", "2026-11-21T06:02:40Z", 1),
        ] {
            let node = node(&format!("Date: {date}\r\n"));
            assert_eq!(apply(&context(), &node).unwrap().len(), noted);
            assert_eq!(node.now().to_string(), shows);
            assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
            assert!(
                node.log.borrow().iter().filter(|line| line.starts_with("sleep")).count() == 30
            );
        }
        let node = node("Date: Sat, 21 Nov 2026 06:00:50 GMT\r\n");
        assert!(apply(&context(), &node).unwrap().is_empty());
        assert_eq!(node.now().to_string(), "2026-11-21T06:00:00Z");
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
        node.boot();
        node.active.borrow_mut().remove(TIMESYNCD);
        node.entries.borrow_mut().remove(SYNCHRONIZED);
        assert!(matches!(check(&context(), &node), Ok(Check::Needed(_))), "each boot anew");
    }

    #[test]
    fn nobody_who_knows_and_one_who_is_wrong_are_waited_for() {
        for (date, part) in [
            ("Date: Wed, 01 Jan 2020 00:00:00 GMT\r\n", "before the card was written"),
            ("Date: Thu, 01 Jan 2099 00:00:00 GMT\r\n", "later than this card is good for, 2031-"),
            ("Date: now\r\n", "gives no date"),
            ("", "gives no date"),
        ] {
            let node = node(date);
            let Err(Stop::Again(what)) = apply(&context(), &node) else { panic!() };
            assert!(what.contains(part) && what.contains("no NTP server"), "{what}");
            assert_eq!(node.now().to_string(), "2026-11-21T06:00:00Z");
        }
        let node = node("");
        node.answering.borrow_mut().clear();
        let Err(Stop::Again(what)) = apply(&context(), &node) else { panic!() };
        assert!(what.contains("UDP port 123") && what.contains("refused"), "{what}");
    }
    /// An NTP server that says 2099, whenever it is asked.
    fn ntp_lies(node: &Node) {
        node.set_clock("2099-01-01T00:00:00Z".parse().unwrap()).unwrap();
        node.put(SYNCHRONIZED, "");
        node.active.borrow_mut().insert(TIMESYNCD.to_owned());
        node.put("/run/ntp-says", "2099-01-01T00:00:00Z");
    }

    #[test]
    fn an_ntp_server_that_is_years_ahead_is_not_believed_and_stopped_until_the_next_boot() {
        let node = node("Date: Sat, 05 Dec 2026 10:00:00 GMT\r\n");
        ntp_lies(&node);
        let Check::Needed(why) = check(&context(), &node).unwrap() else { panic!() };
        assert!(why.contains("2099-01-01T00:00:00Z is later than"), "{why}");
        let notes = apply(&context(), &node).unwrap();
        assert!(notes[0].contains("the NTP server is not believed (2099-"), "{notes:?}");
        assert_eq!(node.now().to_string(), "2026-12-05T10:00:00Z");
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
        assert!(is_guessed(&node).unwrap());
        assert!(!node.active.borrow().contains(TIMESYNCD));
        node.boot();
        assert!(node.active.borrow().contains(TIMESYNCD));
    }

    #[test]
    fn where_nobody_is_believed_ntp_gets_another_chance_each_time() {
        let node = node("Date: Thu, 01 Jan 2099 00:00:00 GMT\r\n");
        ntp_lies(&node);
        for _ in 0..3 {
            let Err(Stop::Again(what)) = apply(&context(), &node) else { panic!() };
            assert!(what.contains("the NTP server is not believed"), "{what}");
            assert!(what.contains("neither is the clock of `packages.example.org`"), "{what}");
            assert_eq!(node.now().to_string(), "2026-11-21T06:00:00Z");
        }
        node.put("/run/ntp-says", "2026-12-05T10:00:00Z");
        assert!(apply(&context(), &node).unwrap().is_empty());
        assert_eq!(check(&context(), &node).unwrap(), Check::Satisfied);
        assert!(node.active.borrow().contains(TIMESYNCD) && !node.exists(STOPPED).unwrap());
        assert_eq!(node.now().to_string(), "2026-12-05T10:00:00Z");
    }
}
