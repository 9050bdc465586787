//! Secrets go when their contents are in place: it is the last step but the marker.

use pikube_config::names;

use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::step::{Check, Class, Notes, Step, Stop};

/// The step.
pub const STEP: Step = Step {
    id: "scrub",
    title: "secrets scrubbed",
    class: Class::Essential,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

/// On the FAT: ours, and the user's password hash for Raspberry Pi OS, under each of its names (userconf-pi).
const ON_CARD: [&str; 4] = [names::SECRETS, "userconf.txt", "userconf", "failed_userconf.txt"];

/// Raspberry Pi OS to bullseye moves it away itself; where it does not (later releases, a card that was never booted so
/// far), the passwords of the plan's networks would stay on the card.
const WIFI_ON_CARD: &str = "wpa_supplicant.conf";

fn left(context: &Context, host: &dyn Look) -> Result<Vec<String>, Error> {
    let mut paths = vec![format!("{}/{}", names::CONFIG_DIR, names::SECRETS)];
    if let Some(boot) = &context.facts.boot {
        let wifi = context.plan.wifi.as_ref().map(|_| &WIFI_ON_CARD);
        paths.extend(ON_CARD.iter().chain(wifi).map(|name| format!("{boot}/{name}")));
    }
    let mut left = Vec::new();
    for path in paths {
        if host.exists(&path)? {
            left.push(path);
        }
    }
    Ok(left)
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    let left = left(context, host)?;
    Ok(Check::of(left.iter().map(|path| format!("`{path}` is there")).collect(), false))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    for path in left(context, host)? {
        host.scrub(&path)?;
    }
    Ok(Notes::new())
}
