//! The contract: kubeadm and its stand-in are given the same, and say the same. Real ones are those of
//! `tests/kubernetes/build.sh contract`; without them the stand-in alone is judged, by what the real one has said before.
#![allow(clippy::unwrap_used, reason = "a test")]

mod kubeadm;
mod more;
mod plans;
mod preflight;
mod words;

use kubeadm::{Pair, VERSIONS};
use words::{CLUSTER, INIT};

/// Cases in which the two differ, each with what they say; shown together.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare(&mut self, pair: &Pair, text: &str) {
        let Some(real) = &pair.real else { return };
        let (real, standin) = (pair.validate(real, text), pair.validate(&pair.standin, text));
        if real.code != standin.code {
            self.0.push(format!(
                "{}: kubeadm {} {}stand-in {} {}for\n{text}",
                pair.version, real.code, real.said, standin.code, standin.said
            ));
        }
    }

    fn end(self) {
        assert!(self.0.is_empty(), "{} differ\n{}", self.0.len(), self.0.join("\n"));
    }
}

#[test]
fn what_is_refused_and_in_which_words() {
    let pair = Pair::of("refused configurations", VERSIONS[0]);
    for (text, words) in words::refused() {
        for program in pair.real.iter().chain([&pair.standin]) {
            let verdict = pair.validate(program, &text);
            assert_ne!(verdict.code, 0, "{} accepted:\n{text}", program.display());
            let said = &verdict.said;
            assert!(said.contains(words), "{words:?} is not in {said:?} for\n{text}");
        }
    }
}

#[test]
fn what_is_accepted() {
    let pair = Pair::of("accepted configurations", VERSIONS[0]);
    for text in words::accepted() {
        for program in pair.real.iter().chain([&pair.standin]) {
            let verdict = pair.validate(program, &text);
            assert_eq!(verdict.code, 0, "{}: {}\nfor\n{text}", program.display(), verdict.said);
        }
    }
}

#[test]
fn all_versions_agree_with_their_stand_ins() {
    let mut differences = Differences::default();
    let cases: Vec<String> = words::refused().into_iter().map(|(text, _)| text).collect();
    for (pair, _) in Pair::all("broken configurations") {
        for text in cases.iter().chain(&words::accepted()).chain(&more::cases()) {
            differences.compare(&pair, text);
        }
    }
    differences.end();
}

#[test]
fn every_version_takes_what_the_agent_renders() {
    let mut differences = Differences::default();
    for version in VERSIONS {
        let pair = Pair::of("rendered configurations", version);
        for (name, text) in plans::rendered(version) {
            for program in pair.real.iter().chain([&pair.standin]) {
                let verdict = pair.validate(program, &text);
                let who = program.display();
                assert_eq!(verdict.code, 0, "{name}: {who}: {}\nfor\n{text}", verdict.said);
                assert!(!verdict.said.contains("deprecated"), "{name}: {}", verdict.said);
            }
        }
        // Of other versions, and of the legacy line, whatever kubeadm thinks of it.
        for other in ["v1.36.3", "v1.35.4", "v1.37.2", "v1.31.14"] {
            let few = |name: &str| name.starts_with("nothing") || name.starts_with("all together");
            for (_, text) in plans::rendered(other).iter().filter(|(name, _)| few(name)) {
                differences.compare(&pair, text);
            }
        }
        for text in plans::legacy() {
            differences.compare(&pair, &text);
        }
    }
    differences.end();
}

#[test]
fn calls_that_come_to_nothing_end_with_the_same_code() {
    for (pair, real) in Pair::all("exit codes") {
        for args in [
            &["config", "validate"][..],
            &["config", "validate", "--config", "/nowhere/kubeadm.yaml"],
            &["config", "validate", "--config"],
            &["init", "--config", "/nowhere/kubeadm.yaml"],
            &["init", "--what"],
            &["join", "--config", "/nowhere/kubeadm.yaml"],
            &["dance"],
            &["version", "-o", "short"],
        ] {
            let (real, standin) = (pair.call(&real, args), pair.call(&pair.standin, args));
            assert_eq!(real.code, standin.code, "{args:?}: {real:?}\n{standin:?}");
        }
    }
}

#[test]
fn an_older_one_knows_older_files_only() {
    let pair = Pair::of("the legacy line's stand-in", "v1.23.17");
    let said = pair.call(&pair.standin, &["version", "-o", "short"]).said;
    assert_eq!(said, "v1.23.17\n");
    let older = |text: &str| text.replace("v1beta4", "v1beta3").replace("v1.36.4", "v1.23.17");
    let check = |text: &str| pair.validate(&pair.standin, text);
    let verdict = check(&format!("{INIT}{CLUSTER}"));
    let words = "no kind \"InitConfiguration\" is registered for version";
    assert!(verdict.code != 0 && verdict.said.contains(words), "{}", verdict.said);
    assert_eq!(check(&older(&format!("{INIT}{CLUSTER}"))).code, 0);
    let verdict = check(&older(&format!("{INIT}{CLUSTER}encryptionAlgorithm: ECDSA-P256\n")));
    let words = "unknown field \"encryptionAlgorithm\"";
    assert!(verdict.code != 0 && verdict.said.contains(words), "{}", verdict.said);
}
