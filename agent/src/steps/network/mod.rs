//! Static addresses and wireless networks, for whichever network manager the system has. The files come first, all of
//! them rendered before one is written; then the manager is told. What an earlier plan wanted and this one does not is
//! taken away again; what others wrote stays.

mod effect;
mod limits;
mod manager;
mod radio;
mod unread;
mod work;

use super::units;
use crate::host::{Error, Host, Look};
use crate::plan::Context;
use crate::render::network::Wanted;
use crate::step::{Check, Class, Notes, Step, Stop};
use manager::Manager;
use work::Work;

/// The step.
pub const STEP: Step = Step {
    id: "network",
    title: "addresses and Wi-Fi",
    class: Class::Access,
    wanted: |_| true,
    check,
    apply,
    ahead: None,
};

/// wpa_supplicant for one interface, where the manager does not start it itself.
fn wpa_unit(interface: &str) -> String {
    format!("wpa_supplicant@{interface}.service")
}

/// What the plan asks for, with the name of the Wi-Fi interface.
fn with<T>(
    context: &Context,
    host: &dyn Look,
    act: impl FnOnce(&Wanted, Option<Manager>, Work) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let wireless = work::wireless(context, host)?;
    let wanted = Wanted::new(&context.plan, context.secrets.as_ref(), &wireless);
    let manager = manager::find(host)?;
    let work = work::find(&wanted, manager, host)?;
    act(&wanted, manager, work)
}

fn check(context: &Context, host: &dyn Look) -> Result<Check, Stop> {
    with(context, host, |wanted, manager, work| {
        let mut reasons = work.reasons(host)?;
        if manager.is_none() && !wanted.is_nothing() {
            reasons.push("no network manager is found".to_owned());
        }
        reasons.extend(radio::reasons(context, host)?);
        if let Some(unit) = missing_unit(wanted, manager, host)? {
            reasons.push(format!("`{unit}` is not enabled"));
        }
        if unread::is(host)? {
            reasons.push("the new settings are not in use yet".to_owned());
        }
        Ok(Check::of(reasons, !wanted.is_nothing() && !host.live()))
    })
}

/// The unit that would bring up Wi-Fi at boot, where it would not.
fn missing_unit(
    wanted: &Wanted,
    manager: Option<Manager>,
    host: &dyn Look,
) -> Result<Option<String>, Error> {
    let unit = wpa_unit(wanted.wireless);
    let needed = manager == Some(Manager::Networkd) && wanted.wifi.is_some();
    Ok((needed && !units::is_enabled(host, &unit)?).then_some(unit))
}

fn apply(context: &Context, host: &dyn Host) -> Result<Notes, Stop> {
    with(context, host, |wanted, manager, work| {
        let Some(manager) = manager else {
            if wanted.is_nothing() {
                // Only files of an earlier plan are left, of a manager that is gone.
                work.write(host, &[])?;
                unread::settle(host)?;
                return Ok(Notes::new());
            }
            return Err(Stop::person(
                "setting addresses and Wi-Fi: no network manager is found that pikube knows",
                "use an image with NetworkManager, netplan, dhcpcd, ifupdown or systemd-networkd",
            ));
        };
        limits::check(wanted, manager, host)?;
        let mut changed = work.changed(host)?;
        changed.extend(missing_unit(wanted, Some(manager), host)?);
        if !changed.is_empty() {
            let texts = work.texts(host)?;
            unread::note(host, &changed)?;
            work.write(host, &texts)?;
        }
        let mut notes = radio::apply(context, host)?;
        if unread::is(host)? {
            notes.extend(effect::apply(wanted, manager, &unread::list(host)?, host)?);
            unread::settle(host)?;
        }
        notes.extend(missing_interfaces(wanted, host)?);
        Ok(notes)
    })
}

/// Addresses of interfaces that are not there: written nevertheless, for a USB adapter may come later.
fn missing_interfaces(wanted: &Wanted, host: &dyn Look) -> Result<Notes, Error> {
    let mut notes = Notes::new();
    for address in wanted.addresses {
        let name = &address.interface;
        if !host.exists(&format!("/sys/class/net/{name}"))? {
            notes.push(format!(
                "there is no interface `{name}` (yet): its address {} is set when it comes",
                address.address
            ));
        } else if name.starts_with("wl") && wanted.wifi.is_none() {
            notes.push(format!("`{name}` has an address, but the plan has no Wi-Fi network"));
        }
    }
    if wanted.wifi.is_some() && !host.exists(&format!("/sys/class/net/{}", wanted.wireless))? {
        notes.push(format!("there is no Wi-Fi interface `{}` (yet)", wanted.wireless));
    }
    Ok(notes)
}

#[cfg(test)]
mod tests;
