//! What came out: medians, and the ratios that matter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::image::Images;
use crate::measure::Measured;
use crate::programs::{BMAPTOOL, COMPARE, LIMITS, PIFLASH, PIPELINE};

/// All runs of all programs.
pub struct Table {
    image: String,
    order: Vec<&'static str>,
    runs: BTreeMap<&'static str, Vec<Measured>>,
}

/// A quotient that has a target.
struct Ratio {
    name: &'static str,
    value: Option<f64>,
    at_most: f64,
}

impl Table {
    pub fn new(images: &Images) -> Self {
        let packed = std::fs::metadata(&images.xz).map_or(0, |metadata| metadata.len());
        let image = format!("{} bytes, {packed} as xz", images.bytes);
        Self { image, order: Vec::new(), runs: BTreeMap::new() }
    }

    pub fn add(&mut self, name: &'static str, measured: Measured) {
        if !self.runs.contains_key(name) {
            self.order.push(name);
        }
        self.runs.entry(name).or_default().push(measured);
    }

    fn median(&self, name: &str, of: impl Fn(&Measured) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.get(name)?.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() % 2 {
            1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    fn ratios(&self) -> Vec<Ratio> {
        let seconds = |name: &str| self.median(name, |run| run.seconds);
        let cpu = |name: &str| self.median(name, |run| run.cpu_seconds);
        let peak = |name: &str| self.median(name, |run| run.peak_bytes as f64 / f64::from(1 << 20));
        let quotient = |of: Option<f64>, by: Option<f64>| Some(of? / by?);
        let piflash = seconds(PIFLASH);
        let pipeline = seconds(PIPELINE).zip(seconds(COMPARE)).map(|(write, read)| write + read);
        let limit = LIMITS.iter().filter_map(|name| seconds(name)).reduce(f64::max);
        let (one, eight) = ("1 card of 20 MB/s", "8 cards of 20 MB/s");
        let (one_bare, eight_bare) =
            ("1 card of 20 MB/s, no verification", "8 cards of 20 MB/s, no verification");
        let ratio = |name, value, at_most| Ratio { name, value, at_most };
        vec![
            ratio("piflash / (xz | dd + cmp)", quotient(piflash, pipeline), 0.45),
            ratio("piflash / bmaptool copy", quotient(piflash, seconds(BMAPTOOL)), 0.7),
            ratio("piflash / slowest limit", quotient(piflash, limit), 1.35),
            ratio("8 slow cards / 1, seconds", quotient(seconds(eight), seconds(one)), 1.1),
            ratio(
                "8 cards / 1, CPU, no verification",
                quotient(cpu(eight_bare), cpu(one_bare)),
                2.0,
            ),
            ratio(
                "8 verified cards / 1 not verified, CPU",
                quotient(cpu(eight), cpu(one_bare)),
                2.0,
            ),
            ratio("MiB at the peak, 1 card", peak(PIFLASH), 160.0),
            ratio("MiB at the peak, 8 cards", peak(eight), 160.0 + 7.0 * 12.0),
        ]
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{:<40} {:>9} {:>9} {:>9} {:>5}\n",
            self.image, "median of", "seconds", "CPU s", "peak MiB", "runs"
        );
        for name in &self.order {
            let of = |value: fn(&Measured) -> f64| self.median(name, value).unwrap_or_default();
            let _ = writeln!(
                text,
                "{name:<40} {:>9.2} {:>9.2} {:>9.0} {:>5}",
                of(|run| run.seconds),
                of(|run| run.cpu_seconds),
                of(|run| run.peak_bytes as f64 / f64::from(1 << 20)),
                self.runs.get(name).map_or(0, Vec::len),
            );
        }
        text.push('\n');
        for Ratio { name, value, at_most } in self.ratios() {
            let Some(value) = value else { continue };
            let verdict = if value <= at_most { "holds" } else { "MISSED" };
            let _ = writeln!(text, "{name:<40} {value:>9.2}   at most {at_most:>6.2}   {verdict}");
        }
        text
    }

    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .order
            .iter()
            .map(|name| {
                let runs = self.runs.get(name).map_or(&[][..], Vec::as_slice);
                let of = |value: fn(&Measured) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
                json!({
                    "program": name,
                    "seconds": of(|run| run.seconds),
                    "cpu_seconds": of(|run| run.cpu_seconds),
                    "peak_bytes": of(|run| run.peak_bytes as f64),
                })
            })
            .collect();
        let ratios: Vec<Value> = self
            .ratios()
            .iter()
            .map(|ratio| json!({ "ratio": ratio.name, "value": ratio.value, "at_most": ratio.at_most }))
            .collect();
        json!({ "schema": 1, "image": self.image, "runs": runs, "ratios": ratios })
    }
}
