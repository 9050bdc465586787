//! `piflash`
fn main() {}
