//! What can go wrong with a web server, on demand.

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An error page with this status: 404, 503 and so on.
    Status(u16),
    /// A page to log in at, with status 200, in place of whatever was asked for: a captive portal.
    Html,
    /// The true length, half of the body, and then nothing: the connection is closed.
    CutHalfWay,
    /// No answer, until the server heals.
    Hang,
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// That many requests.
    Next(u32),
    /// Every request, until the server heals.
    Always,
}

/// A fault that is waiting for requests.
#[derive(Debug)]
pub(super) struct Rule {
    prefix: String,
    fault: Fault,
    left: Times,
}

impl Rule {
    pub(super) fn new(prefix: &str, fault: Fault, times: Times) -> Self {
        Self { prefix: prefix.to_owned(), fault, left: times }
    }

    pub(super) fn is_of(&self, prefix: &str) -> bool {
        self.prefix == prefix
    }

    fn applies(&self, path: &str) -> bool {
        self.left != Times::Next(0) && path.starts_with(&self.prefix)
    }
}

/// The newest fault that applies to a path; once less from now on.
pub(super) fn take(rules: &mut [Rule], path: &str) -> Option<Fault> {
    let rule = rules.iter_mut().rev().find(|rule| rule.applies(path))?;
    if let Times::Next(left) = &mut rule.left {
        *left -= 1;
    }
    Some(rule.fault)
}

/// Whether a request of this path that hangs is still to hang: until the rules are gone.
pub(super) fn hangs(rules: &[Rule], path: &str) -> bool {
    rules.iter().any(|rule| rule.fault == Fault::Hang && path.starts_with(&rule.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_fault_wins_as_often_as_it_shall() {
        let mut rules = vec![
            Rule::new("/debian/", Fault::Status(503), Times::Always),
            Rule::new("/debian/pool/", Fault::CutHalfWay, Times::Next(1)),
        ];
        assert_eq!(take(&mut rules, "/debian/pool/a.deb"), Some(Fault::CutHalfWay));
        assert_eq!(take(&mut rules, "/debian/pool/a.deb"), Some(Fault::Status(503)));
        assert_eq!(take(&mut rules, "/linux/debian/gpg"), None);
    }

    #[test]
    fn what_hangs_hangs_until_the_rules_are_gone() {
        let mut rules = vec![Rule::new("/v2/", Fault::Hang, Times::Next(1))];
        assert_eq!(take(&mut rules, "/v2/"), Some(Fault::Hang));
        assert_eq!(take(&mut rules, "/v2/"), None);
        assert!(hangs(&rules, "/v2/") && !hangs(&rules, "/debian/") && !hangs(&[], "/v2/"));
    }
}
