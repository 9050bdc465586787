//! Between which moments it is now. A Pi has no clock, and nobody who tells it the time is known to it: NTP and the date
//! of a web server come in the clear. What they say is believed within these bounds only, so that neither a broken server
//! nor whoever stands in the way makes certificates, tokens and package lists look as if they had run out.

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;

use crate::certificates::expiry;
use crate::plan::Context;

/// How long after it was written a card is booted at the latest.
const CARD_DAYS: i64 = 5 * 365;

/// When the card was written.
pub fn earliest(context: &Context) -> Option<Timestamp> {
    context.plan.flashed_at
}

/// Some years after the card was written, or the end of the first certificate on it: with another time this node would
/// be of no use.
pub fn latest(context: &Context) -> Option<Timestamp> {
    let years = SignedDuration::from_hours(24 * CARD_DAYS);
    let of_card = context.plan.flashed_at.and_then(|at| at.checked_add(years).ok());
    let ends = context.secrets.iter().flat_map(|secrets| {
        let all = [
            &secrets.ca_certificate,
            &secrets.front_proxy_ca_certificate,
            &secrets.etcd_ca_certificate,
        ];
        all.into_iter().flatten().filter_map(|pem| expiry::end(pem.expose_secret()))
    });
    ends.chain(of_card).min()
}

/// Why it cannot be this late; `None` where it can.
pub fn too_late(context: &Context, time: Timestamp) -> Option<String> {
    let latest = latest(context).filter(|latest| time > *latest)?;
    Some(format!("{time:.0} is later than this card is good for, {latest:.0}"))
}

#[cfg(test)]
mod tests {
    use pikube_config::{FirstbootPlan, Secrets};

    use super::*;
    use crate::host::scripted::{PLAN, SECRETS};
    use crate::plan::Facts;

    fn context(flashed_at: &str, secrets: Option<&str>) -> Context {
        let mut plan = FirstbootPlan::from_toml(PLAN).unwrap();
        plan.flashed_at = flashed_at.parse().ok();
        let secrets = secrets.map(|text| Secrets::from_toml(text).unwrap());
        Context::new(plan, secrets, Facts::default())
    }

    #[test]
    fn the_end_is_the_card_s_or_that_of_its_first_certificate() {
        let latest = |flashed_at: &str, secrets: Option<&str>| {
            latest(&context(flashed_at, secrets)).map(|latest| latest.to_string())
        };
        let own = SECRETS.replace(
            "-----BEGIN CERTIFICATE-----\\nETCD\\n-----END CERTIFICATE-----\\n",
            &expiry::UNTIL_2036.replace('\n', "\\n"),
        );
        assert_ne!(own, SECRETS);
        let of_card = Some("2031-11-20T06:00:00Z".to_owned());
        assert_eq!(latest("2026-11-21T06:00:00Z", None), of_card);
        assert_eq!(latest("2026-11-21T06:00:00Z", Some(&own)), of_card);
        let of_certificate = Some("2036-11-25T14:51:07Z".to_owned());
        assert_eq!(latest("2035-11-21T06:00:00Z", Some(&own)), of_certificate);
        assert_eq!(latest("never", Some(&own)), of_certificate);
        // What cannot be read bounds nothing.
        assert_eq!(latest("never", Some(SECRETS)), None);
    }
}
