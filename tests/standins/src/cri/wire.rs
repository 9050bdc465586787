//! As much of protobuf's wire format as CRI's messages need: numbers, texts, messages.

use anyhow::{Context as _, Result, bail};

/// A message: its fields in the order in which they came.
#[derive(Clone, Default)]
pub(super) struct Message(Vec<(u32, Field)>);

#[derive(Clone)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Message {
    /// With a message in it.
    pub(super) fn with(mut self, field: u32, inner: Self) -> Self {
        self.0.push((field, Field::Bytes(inner.encode())));
        self
    }

    /// With a text.
    pub(super) fn with_text(mut self, field: u32, text: &str) -> Self {
        self.0.push((field, Field::Bytes(text.as_bytes().to_vec())));
        self
    }

    /// With a number.
    pub(super) fn with_number(mut self, field: u32, number: u64) -> Self {
        self.0.push((field, Field::Number(number)));
        self
    }

    /// Its bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (number, field) in &self.0 {
            match field {
                Field::Number(value) => {
                    varint(u64::from(*number) << 3, &mut bytes);
                    varint(*value, &mut bytes);
                }
                Field::Bytes(value) => {
                    varint(u64::from(*number) << 3 | 2, &mut bytes);
                    varint(value.len() as u64, &mut bytes);
                    bytes.extend_from_slice(value);
                }
            }
        }
        bytes
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is cut off, or of a kind that CRI has not.
    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes)?;
            let field = match key & 7 {
                0 => Field::Number(take_varint(&mut bytes)?),
                1 => Field::Bytes(take(&mut bytes, 8)?),
                2 => {
                    let length = usize::try_from(take_varint(&mut bytes)?)?;
                    Field::Bytes(take(&mut bytes, length)?)
                }
                5 => Field::Bytes(take(&mut bytes, 4)?),
                other => bail!("wire type {other}"),
            };
            fields.push((u32::try_from(key >> 3)?, field));
        }
        Ok(Self(fields))
    }

    /// All messages of a field.
    pub(super) fn messages(&self, field: u32) -> Vec<Self> {
        self.bytes(field).filter_map(|bytes| Self::decode(bytes).ok()).collect()
    }

    /// The message of a field, empty where there is none.
    pub(super) fn message(&self, field: u32) -> Self {
        self.messages(field).pop().unwrap_or_default()
    }

    /// All texts of a field.
    pub(super) fn texts(&self, field: u32) -> Vec<String> {
        self.bytes(field).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    /// The text of a field, empty where there is none.
    pub(super) fn text(&self, field: u32) -> String {
        self.texts(field).pop().unwrap_or_default()
    }

    /// The number of a field, zero where there is none.
    pub(super) fn number(&self, field: u32) -> u64 {
        let number = self.0.iter().find_map(|(number, value)| match value {
            Field::Number(value) if *number == field => Some(*value),
            _ => None,
        });
        number.unwrap_or(0)
    }

    fn bytes(&self, field: u32) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter_map(move |(number, value)| match value {
            Field::Bytes(bytes) if *number == field => Some(bytes.as_slice()),
            _ => None,
        })
    }
}

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().context("unexpected end")?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a number that does not end")
}

fn take(bytes: &mut &[u8], length: usize) -> Result<Vec<u8>> {
    let (taken, rest) = bytes.split_at_checked(length).context("unexpected end")?;
    *bytes = rest;
    Ok(taken.to_vec())
}
