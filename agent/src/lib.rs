//! `pikube-agent`, the Pi side: firstboot plan + facts of the machine → ordered steps; for each step
//! check ► apply ► check again ► journal; every change of state → report.
//!
//! Only [`host`] runs commands, touches files, reads the clock or sleeps; only [`report`] prints while it runs.

pub mod certificates;
pub mod change;
pub mod cli;
pub mod commands;
pub mod engine;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod host;
pub mod journal;
pub mod plan;
pub mod render;
pub mod report;
pub mod step;
pub mod steps;
