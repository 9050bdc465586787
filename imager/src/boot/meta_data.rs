//! cloud-init's `meta-data`: the instance's identity, by which cloud-init knows that there is something new to do.
//!
//! Without the file, or with an empty one, NoCloud does nothing or dies (`os-families` of the design's reference, §2.1).

use pikube_config::FirstbootPlan;
use sha2::{Digest, Sha256};

/// First part of our instances' names. With a hyphen: cloud-init reads `instance-id` and no `instance_id`.
const PREFIX: &str = "pikube-";
/// Hexadecimal digits of the hash.
const DIGITS: usize = 12;

/// Which plan an instance stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Hash of plan and user-data.
    content: String,
    /// Counts the plans that this card has had: cloud-init keeps what it did for every name, so none comes twice.
    generation: u32,
}

impl Instance {
    /// The first of this content. When the card was written makes no other instance of it.
    pub fn new(plan: Option<&FirstbootPlan>, user_data: &str) -> Self {
        let mut hash = Sha256::new();
        if let Some(plan) = plan {
            let undated = FirstbootPlan { flashed_at: None, ..plan.clone() };
            hash.update(undated.to_toml().unwrap_or_default());
        }
        hash.update([0]);
        hash.update(user_data);
        let mut content: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        content.truncate(DIGITS);
        Self { content, generation: 1 }
    }

    /// The one that a `meta-data` names, if it is one of ours.
    pub fn of(meta_data: &str) -> Option<Self> {
        let value = meta_data.lines().find_map(|line| line.strip_prefix("instance-id:"))?;
        let name = value.trim().strip_prefix(PREFIX)?;
        let (content, generation) = match name.split_once('-') {
            Some((content, number)) => (content, number.parse().ok()?),
            None => (name, 1),
        };
        Some(Self { content: content.to_owned(), generation })
    }

    /// Whether both stand for the same plan.
    pub fn same_content(&self, other: &Self) -> bool {
        self.content == other.content
    }

    /// This content, behind an instance that cloud-init has seen.
    #[must_use]
    pub fn after(mut self, seen: &Self) -> Self {
        self.generation = seen.generation.saturating_add(1);
        self
    }

    fn name(&self) -> String {
        match self.generation {
            1 => format!("{PREFIX}{}", self.content),
            number => format!("{PREFIX}{}-{number}", self.content),
        }
    }
}

/// The file for this instance. `dsmode` and whatever else is there stays; the host name is there for a user-data that
/// sets none.
pub fn edit(original: &str, instance: &Instance, hostname: &str) -> String {
    const OURS: [&str; 3] = ["instance-id", "instance_id", "local-hostname"];
    // One line of JSON is YAML too, but not lines.
    let lines = if original.trim_start().starts_with('{') { "" } else { original };
    let mut text = String::new();
    for line in lines.lines() {
        let key = line.split(':').next().unwrap_or("").trim_end();
        if !OURS.contains(&key) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.push_str(&format!("instance-id: {}\nlocal-hostname: \"{hostname}\"\n", instance.name()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_plan_is_another_instance_and_another_day_is_not() {
        let plan = |toml: &str| FirstbootPlan::from_toml(toml).unwrap();
        let base = "schema = 1\n[node]\nhostname = 'a'\nrole = 'worker'\n";
        let one = Instance::new(Some(&plan(base)), "");
        let dated = plan(&format!("flashed_at = '2026-01-01T00:00:00Z'\n{base}"));
        assert_eq!(Instance::new(Some(&dated), ""), one);
        let other = Instance::new(Some(&plan(&base.replace("'a'", "'b'"))), "");
        assert!(!other.same_content(&one));
        assert!(!Instance::new(Some(&plan(base)), "#!/bin/sh\n").same_content(&one));
        let third = other.after(&one);
        let text = edit("", &third, "b");
        assert_eq!(Instance::of(&text), Some(third.clone()));
        assert!(text.contains("-2\n"), "{text}");
        assert_eq!(Instance::of("instance-id: pirate001\n"), None);
    }

    #[test]
    fn other_lines_stay_and_the_underscore_goes() {
        let instance = Instance { content: "0123456789ab".into(), generation: 1 };
        let edited = edit("# c\r\ndsmode: local\ninstance_id: cloud-image", &instance, "a");
        assert_eq!(
            edited,
            "# c\ndsmode: local\ninstance-id: pikube-0123456789ab\nlocal-hostname: \"a\"\n"
        );
        assert_eq!(edit(&edited, &instance, "a"), edited);
        assert!(
            edit("{\"instance-id\": \"x\"}", &instance, "a").starts_with("instance-id: pikube")
        );
    }
}
