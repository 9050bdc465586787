//! `pikube-agent`
fn main() {}
