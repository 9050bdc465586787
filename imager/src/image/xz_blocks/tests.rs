use std::io::{Cursor, Write as _};

use liblzma::stream::{Check, MtStreamBuilder};
use proptest::prelude::*;

use super::*;

/// Data that packs to about a third.
fn data(len: usize) -> Vec<u8> {
    let mut value = 1u32;
    let mut next = || {
        value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value >> 24
    };
    (0..len).map(|at| if at % 3 == 0 { next() as u8 } else { (at / 64) as u8 }).collect()
}

fn packed(data: &[u8], block_bytes: u64) -> Vec<u8> {
    let mut builder = MtStreamBuilder::new();
    let builder = builder.threads(2).preset(0).check(Check::Crc64).block_size(block_bytes);
    let stream = builder.encoder().unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn index(packed: &[u8]) -> Option<Index> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(packed).unwrap();
    Index::read(&file, packed.len() as u64)
}

fn decode(packed: Vec<u8>, index: Index, plan: Plan) -> io::Result<Vec<u8>> {
    let path = Path::new("test.xz");
    let mut reader = XzBlocks::new(Box::new(Cursor::new(packed)), path, index, plan).unwrap();
    let mut out = Vec::new();
    reader.read_to_end(&mut out).map(|_| out)
}

#[test]
fn whatever_may_wait_the_same_comes_out() {
    let data = data(5_000_000);
    for block_bytes in [100_000, 1 << 20, 3 << 20] {
        let mut packed = packed(&data, block_bytes);
        // A second stream, an empty one, and padding.
        packed.extend([0; 8]);
        packed.extend(self::packed(&data[..300_000], block_bytes));
        packed.extend(self::packed(&[], block_bytes));
        let wanted = [&data[..], &data[..300_000]].concat();
        let index = index(&packed).unwrap();
        assert_eq!(index.decoded_bytes(), wanted.len() as u64);
        for (threads, bytes) in [(1, 0), (2, 0), (3, 600_000), (4, 1 << 20), (2, 1 << 30)] {
            let plan = Plan { threads, input_bytes: bytes / 3, output_bytes: bytes };
            let out = decode(packed.clone(), index.clone(), plan).unwrap();
            assert!(out == wanted, "{block_bytes}, {plan:?}");
        }
    }
}

#[test]
fn what_waits_is_no_more_than_planned() {
    let data = data(12 << 20);
    let packed = packed(&data, 2 << 20);
    let plan = Plan { threads: 4, input_bytes: 1 << 20, output_bytes: 2 << 20 };
    let index = index(&packed).unwrap();
    let input = Box::new(Cursor::new(packed));
    let mut reader = XzBlocks::new(input, Path::new("test.xz"), index, plan).unwrap();
    let (mut out, mut buf) = (Vec::new(), vec![0; 100_000]);
    loop {
        let first = (PIECES_OF_FIRST * PIECE_BYTES) as u64;
        let state = reader.shared.lock();
        assert!(state.input_bytes <= plan.input_bytes + first);
        assert!(state.output_bytes <= plan.output_bytes + first);
        drop(state);
        match reader.read(&mut buf).unwrap() {
            0 => break,
            len => out.extend_from_slice(&buf[..len]),
        }
    }
    assert!(out == data);
}

#[test]
fn a_file_that_was_changed_after_its_index_was_read_is_found_out() {
    let (one, other) = (data(700_000), vec![7; 700_000]);
    let (packed, others) = (packed(&one, 100_000), packed(&other, 100_000));
    let plan = Plan { threads: 2, input_bytes: 1 << 20, output_bytes: 1 << 20 };
    let index = index(&packed).unwrap();
    let error = |bytes: Vec<u8>| decode(bytes, index.clone(), plan).unwrap_err().to_string();
    // Shorter, and with other blocks: which of the two is met first is a matter of luck.
    let found = error(others);
    assert!(found.contains("damaged") || found.contains("truncated"), "{found}");
    assert!(error(packed[..packed.len() - 5].to_vec()).contains("truncated"));
    assert!(error(packed[..packed.len() / 2].to_vec()).contains("truncated"));
    assert!(error([&packed[..], &[0; 4]].concat()).contains("changed while it was read"));
}

#[test]
fn who_stops_reading_stops_the_threads() {
    let packed = packed(&data(4 << 20), 1 << 20);
    let plan = Plan { threads: 2, input_bytes: 1 << 18, output_bytes: 1 << 18 };
    let index = index(&packed).unwrap();
    let input = Box::new(Cursor::new(packed));
    let reader = XzBlocks::new(input, Path::new("test.xz"), index, plan).unwrap();
    let shared = reader.shared.clone();
    drop(reader);
    // Two that decode and one that hands out let go of it.
    while Arc::strong_count(&shared) > 1 {
        std::thread::yield_now();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_is_never_taken_for_an_image(place in any::<prop::sample::Index>(), value in 1u8..) {
        let data = data(400_000);
        let mut packed = packed(&data, 64 << 10);
        let place = place.index(packed.len());
        packed[place] ^= value;
        let plan = Plan { threads: 2, input_bytes: 1 << 20, output_bytes: 1 << 20 };
        // Where the index is damaged it is not known, and the other decoder has to find out.
        if let Some(index) = index(&packed) {
            prop_assert!(decode(packed, index, plan).is_err(), "{value} at {place}");
        }
    }
}
