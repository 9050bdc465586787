//! What came out: medians, and the ratios that matter.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::image::Images;
use crate::measure::Measured;
use crate::programs::{
    BMAPTOOL, BMAPTOOL_COMPARED, CALIGULA, COMPARE, IMAGER, LIMITS, PIFLASH, PIPELINE,
};

/// What names of runs with blocks of another size begin with.
pub const BLOCKS: &str = "piflash, blocks of ";

/// Name of the run with so many slow cards.
pub fn slow_cards(count: usize) -> String {
    format!("piflash, {count} cards of 20 MB/s")
}

/// All runs of all programs.
pub struct Table {
    image: String,
    order: Vec<String>,
    runs: BTreeMap<String, Vec<Measured>>,
}

/// A quotient.
struct Ratio {
    name: String,
    value: Option<f64>,
    /// What it is meant to be; `None` where it only says how others do.
    at_most: Option<f64>,
}

impl Table {
    pub fn new(images: &Images) -> Self {
        let packed = std::fs::metadata(&images.xz).map_or(0, |metadata| metadata.len());
        let image = format!("{}; {packed} bytes as xz", images.description);
        Self { image, order: Vec::new(), runs: BTreeMap::new() }
    }

    pub fn add(&mut self, name: &str, measured: Measured) {
        if !self.runs.contains_key(name) {
            self.order.push(name.to_owned());
        }
        self.runs.entry(name.to_owned()).or_default().push(measured);
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
        let ratio = |name: &str, value, at_most| Ratio { name: name.to_owned(), value, at_most };
        let mut ratios = vec![
            ratio("piflash / (xz | dd + xz | cmp)", quotient(piflash, pipeline), Some(0.33)),
            ratio("piflash / caligula", quotient(piflash, seconds(CALIGULA)), None),
            ratio("piflash / bmaptool copy", quotient(piflash, seconds(BMAPTOOL)), Some(0.7)),
            ratio(
                "piflash / (bmaptool copy + xz | cmp)",
                quotient(piflash, seconds(BMAPTOOL_COMPARED)),
                None,
            ),
            ratio("piflash / rpi-imager", quotient(piflash, seconds(IMAGER)), None),
            ratio("piflash / slowest limit", quotient(piflash, limit), Some(1.2)),
            ratio("CPU s, piflash / xz alone", quotient(cpu(PIFLASH), cpu(LIMITS[0])), None),
            ratio("MiB at the peak", peak(PIFLASH), Some(96.0)),
        ];
        for name in self.order.iter().filter(|name| name.starts_with(BLOCKS)) {
            ratios.push(ratio(&format!("MiB at the peak, {name}"), peak(name), Some(96.0)));
        }
        let (one, many) = (slow_cards(1), slow_cards(16));
        ratios.push(ratio(
            "16 slow cards / 1, seconds",
            quotient(seconds(&many), seconds(&one)),
            Some(1.15),
        ));
        ratios.push(ratio("16 slow cards / 1, CPU", quotient(cpu(&many), cpu(&one)), None));
        // 15 more cards of 3 MiB each.
        ratios.push(ratio("MiB at the peak, 16 cards", peak(&many), Some(96.0 + 15.0 * 3.0)));
        ratios
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
            let _ = match at_most {
                None => writeln!(text, "{name:<40} {value:>9.2}"),
                Some(at_most) => {
                    let verdict = if value <= at_most { "holds" } else { "MISSED" };
                    writeln!(text, "{name:<40} {value:>9.2}   at most {at_most:>6.2}   {verdict}")
                }
            };
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
