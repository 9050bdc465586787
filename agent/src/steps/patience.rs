//! What a server does not have may be there a minute later: mirrors say 404 while they are being updated. It is asked for
//! several times in a row, by which the engine's pauses make a minute; then a person is told. A boot begins anew.

use crate::host::{Access, Error, Host};
use crate::step::Stop;

/// How often it has been missing, in a row.
const COUNT: &str = "/run/pikube/missing";
/// How often it is asked for.
const TIMES: u32 = 6;

/// One more time; how the step ends.
pub fn lose(host: &dyn Host, what: String, help: &str) -> Result<Stop, Error> {
    let text = host.text(COUNT)?.unwrap_or_default();
    let times = text.trim().parse().unwrap_or(0_u32) + 1;
    if times >= TIMES {
        regain(host)?;
        return Ok(Stop::person(what, help));
    }
    host.write(COUNT, format!("{times}\n").as_bytes(), Access::root(0o644))?;
    Ok(Stop::Again(what))
}

/// It is there.
pub fn regain(host: &dyn Host) -> Result<(), Error> {
    host.remove(COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scripted::Node;

    #[test]
    fn a_person_is_told_at_the_sixth_time_in_a_row() {
        let node = Node::bare();
        let lose = || lose(&node, "404".to_owned(), "correct it").unwrap();
        for _ in 0..3 {
            assert_eq!(lose(), Stop::Again("404".to_owned()));
        }
        regain(&node).unwrap();
        for _ in 0..5 {
            assert_eq!(lose(), Stop::Again("404".to_owned()));
        }
        assert_eq!(lose(), Stop::person("404", "correct it"));
    }
}
