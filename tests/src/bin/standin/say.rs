//! The one place that prints.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the one place that prints")]

/// A line on standard output.
pub(crate) fn out(line: &str) {
    println!("{line}");
}

/// A line on standard error.
pub(crate) fn err(line: &str) {
    eprintln!("{line}");
}

/// A line of Kubernetes' log (klog) on standard error: `severity` is `I`, `W` or `E`.
pub(crate) fn log(severity: char, line: &str) {
    eprintln!("{severity}{} standin] {line}", crate::time::klog());
}
