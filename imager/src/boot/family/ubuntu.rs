//! Ubuntu Server for the Pi: cloud-init finds its seed by the label `system-boot`.

use super::{Bits, Family, Hook, Os, Release, Signs, Unsupported};

/// By the label that its cloud-init looks for, by its README, or by the folders of its newer layout.
pub fn is_it(signs: &Signs) -> bool {
    signs.label.eq_ignore_ascii_case("system-boot")
        || signs.boots_from("current/")
        || signs.readme.as_deref().is_some_and(|text| text.contains("Ubuntu"))
}

/// Which one it is.
pub fn recognise(signs: &Signs) -> Result<Os, Unsupported> {
    let known = |name: &str, why| Unsupported::Known(name.to_owned(), why);
    if signs.user_config {
        return Err(known(
            "Ubuntu 20.04 or older",
            "its kernel and its packages are too old for Kubernetes",
        ));
    }
    if !signs.cloud_init {
        return Err(known(
            "an Ubuntu without `user-data` and `meta-data`",
            "Ubuntu Core and Ubuntu Desktop have no cloud-init that would start the agent",
        ));
    }
    let two_sets = signs.boots_from("current/");
    let release = match &signs.network_config {
        _ if two_sets => Release::TwoBootSets,
        // A commented example of this key came with 24.04 (pi-gadget, network-config-regdom).
        Some(text) if text.contains("regulatory-domain") => Release::Noble,
        _ => Release::Jammy,
    };
    Ok(Os {
        family: Family::Ubuntu,
        release,
        version: None,
        mount: "/boot/firmware",
        // The releases with two boot sets exist for arm64 only.
        bits: if two_sets { Bits::SixtyFour } else { signs.bits_by_setting() },
        cmdlines: signs.cmdlines.clone(),
        hook: Hook::CloudInit,
        cloud_init: true,
        booted: signs.launched,
    })
}
