//! `make bench`: piflash, what people use instead, and the limits of this machine, in one run, on the same image and
//! the same loop device, in turns. Prints a table and writes `target/bench.json`.
//!
//! `PIKUBE_BENCH_REPEATS` says how often (3), `PIKUBE_BENCH_PERCENT` how large the image is (100: 2.66 GiB). `PIKUBE_BENCH_BLOCKS=0` leaves xz files with blocks of other sizes out,
//! `PIKUBE_BENCH_CARDS=0` the throttled cards, `PIKUBE_BENCH_SIZES=0` the images of 1, 4 and 16 GiB.
#![allow(clippy::print_stdout, reason = "it is for looking at")]

#[path = "../../../../imager/tests/support/fuse_card.rs"]
mod fuse_card;
mod image;
mod measure;
mod programs;
mod table;

use anyhow::{Context as _, Result, bail};
use pikube_tests::needs::clone_root;

use crate::image::Images;
use crate::programs::{Card, Program};
use crate::table::{BLOCKS, Table, slow_cards};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("--measure", command)) =
        arguments.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return measure::child(command);
    }
    if !rustix::process::geteuid().is_root() {
        bail!("loop devices need root");
    }
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let repeats = number("PIKUBE_BENCH_REPEATS", 3);
    let folder = clone_root().join("target/bench");
    let images = Images::make(&folder, number("PIKUBE_BENCH_PERCENT", 100) as u64)?;
    let card = Card::new(images.bytes + (64 << 20))?;
    let mut table = Table::new(&images);
    let programs = if repeats == 0 { Vec::new() } else { Program::all(&images, &card.node)? };
    println!("{} programs, {repeats} times in turns, on {}", programs.len(), card.node);
    for round in 1..=repeats {
        for program in &programs {
            programs::quiet()?;
            let measured = program.run()?;
            println!("{round}/{repeats} {:<34} {measured}", program.name);
            table.add(program.name, measured);
        }
    }
    if number("PIKUBE_BENCH_BLOCKS", 1) > 0 {
        for block_mib in [4, 24, 96, 192] {
            let image = images.in_blocks(block_mib)?;
            let name = format!("{BLOCKS}{block_mib} MiB");
            once(&name, &programs::piflash(&image, std::slice::from_ref(&card.node)), &mut table)?;
        }
    }
    drop(card);
    if number("PIKUBE_BENCH_SIZES", 1) > 0 {
        for gib in [1, 4, 16] {
            let image = image::mostly_free(&folder, gib)?;
            let card = Card::new((gib << 30) + (64 << 20))?;
            let program = programs::piflash(&image, std::slice::from_ref(&card.node));
            once(&format!("piflash, {gib} GiB, mostly free"), &program, &mut table)?;
        }
    }
    if number("PIKUBE_BENCH_CARDS", 1) > 0 {
        throttled(&images, &mut table)?;
    }
    let text = table.text();
    println!("\n{text}");
    let json = clone_root().join("target/bench.json");
    std::fs::write(&json, serde_json::to_vec_pretty(&table.json())?)
        .with_context(|| format!("writing {}", json.display()))?;
    println!("{}", json.display());
    Ok(())
}

/// Bytes per second of an SD card.
const CARD_RATE: u64 = 20_000_000;

/// Runs a program once.
fn once(name: &str, program: &Program, table: &mut Table) -> Result<()> {
    programs::quiet()?;
    let measured = program.run()?;
    println!("{name:<38} {measured}");
    table.add(name, measured);
    Ok(())
}

/// One, four and sixteen cards at the speed of SD cards: many shall not take longer than one.
fn throttled(images: &Images, table: &mut Table) -> Result<()> {
    for count in [1, 4, 16] {
        let faults = fuse_card::Faults { rate: Some(CARD_RATE), ..Default::default() };
        let cards: Vec<fuse_card::FuseCard> = (0..count)
            .map_while(|_| {
                fuse_card::FuseCard::new(images.small_bytes + (16 << 20), faults.clone())
            })
            .collect();
        if cards.len() < count {
            println!("skipped: no FUSE here for {count} cards");
            return Ok(());
        }
        let nodes: Vec<String> = cards.iter().map(|card| card.node.display().to_string()).collect();
        once(&slow_cards(count), &programs::piflash(&images.small_xz, &nodes), table)?;
    }
    Ok(())
}
