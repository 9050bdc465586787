//! A fuzz target of this folder (`crate::fuzzing`).

use super::Kubeconfig;
use super::merge::merged;

/// A person's kubeconfig, to which a cluster is added twice.
pub(crate) fn kubeconfig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let new = Kubeconfig::example();
    if let Ok((once, _)) = merged(text, &new) {
        let (twice, replaced) =
            merged(&once, &new).expect("what we have merged can be merged into");
        assert!(replaced && *twice == *once, "merged twice, it differs");
    }
}
