//! The gob format, as far as sessions have it: Go's plain values, read strictly, and written as `encoding/json` does.
//!
//! A session is a struct with a deadline and a `map[string]interface{}`. Values of the application's own types are
//! refused: what JSON Go would write for them depends on their methods, which are not in the data.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::time::GoTime;

/// A session as scs' `GobCodec` writes it.
pub(super) struct GobSession {
    pub(super) deadline: GoTime,
    /// JSON text by name.
    pub(super) values: BTreeMap<String, String>,
}

impl GobSession {
    /// Reads a session; `None` if the bytes are anything else, or hold a value that is not plain.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = GobReader { rest: bytes, types: BTreeMap::new() };
        reader.uint()?;
        let Type::Struct(fields) = reader.type_sequence().and_then(|id| reader.types.get(&id).cloned())? else {
            return None;
        };
        let (mut deadline, mut values, mut position) = (None, BTreeMap::new(), FieldPosition::default());
        while let Some(number) = reader.next_field(&mut position)? {
            let (name, type_id) = fields.get(number)?;
            match (&**name, reader.types.get(type_id)?) {
                ("Deadline", Type::Time) => deadline = Some(GoTime::parse(reader.bytes()?)?),
                ("Values", Type::Map { key: STRING, element: INTERFACE }) => values = reader.values()?,
                _ => return None,
            }
        }
        let session = Self { deadline: deadline?, values };
        reader.rest.is_empty().then_some(session)
    }
}

/// A type that the stream defines.
#[derive(Clone)]
enum Type {
    /// A slice or an array, with the id of its elements.
    Slice(i64),
    /// A map, with the ids of its keys and elements.
    Map { key: i64, element: i64 },
    /// A struct, with the name and the id of each field.
    Struct(Box<[(Box<str>, i64)]>),
    /// A `time.Time`, if its name is not that of another type.
    Time,
    /// A type that writes itself, in bytes that only it can read.
    Opaque,
}

/// The position in a struct. Fields that have the zero value are left out.
#[derive(Default)]
struct FieldPosition {
    /// The number of the next field.
    next: usize,
}

struct GobReader<'b> {
    rest: &'b [u8],
    types: BTreeMap<i64, Type>,
}

impl<'b> GobReader<'b> {
    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Reads an unsigned integer: a byte under 128, or the negated number of the bytes that follow.
    fn uint(&mut self) -> Option<u64> {
        let [first] = *self.take(1)? else { return None };
        if first < 128 {
            return Some(first.into());
        }
        let length = usize::from(first.wrapping_neg());
        if length > 8 {
            return None;
        }
        Some(self.take(length)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Reads a signed integer, whose lowest bit says whether the others are complemented.
    fn int(&mut self) -> Option<i64> {
        let bits = self.uint()?;
        let number = (bits >> 1).cast_signed();
        Some(if bits & 1 == 1 { !number } else { number })
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.uint()?).ok()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// Reads the number of elements, each of which has a byte at least.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.uint()?).ok().filter(|count| *count <= self.rest.len())
    }

    /// Reads how many fields come before the next one. `Some(None)`: the struct ends.
    fn next_field(&mut self, position: &mut FieldPosition) -> Option<Option<usize>> {
        let delta = usize::try_from(self.uint()?).ok()?;
        if delta == 0 {
            return Some(None);
        }
        position.next = position.next.checked_add(delta)?;
        Some(Some(position.next - 1))
    }

    /// Reads definitions of types, up to the id of the type of the value that follows.
    ///
    /// After each definition a new part of the stream begins, with its length, which is not needed.
    fn type_sequence(&mut self) -> Option<i64> {
        loop {
            let id = self.int()?;
            if id >= 0 {
                return Some(id);
            }
            let (id, defined) = (id.checked_neg()?, self.definition()?);
            if self.types.insert(id, defined).is_some() {
                return None;
            }
            self.uint()?;
        }
    }

    /// Reads Go's `wireType`: a struct of which one field is set.
    fn definition(&mut self) -> Option<Type> {
        let mut position = FieldPosition::default();
        let number = self.next_field(&mut position)??;
        let defined = match number {
            ARRAY_TYPE | SLICE_TYPE => Type::Slice(self.type_ids()?.0),
            STRUCT_TYPE => self.struct_type()?,
            MAP_TYPE => {
                let (key, element) = self.type_ids()?;
                Type::Map { key, element }
            }
            GOB_ENCODER_TYPE | BINARY_MARSHALER_TYPE | TEXT_MARSHALER_TYPE => self.encoder_type(number)?,
            _ => return None,
        };
        self.next_field(&mut position)?.is_none().then_some(defined)
    }

    /// Reads the ids in the description of a slice, an array or a map. An array's second number is its length.
    fn type_ids(&mut self) -> Option<(i64, i64)> {
        let (mut ids, mut position) = ((0, 0), FieldPosition::default());
        while let Some(number) = self.next_field(&mut position)? {
            match number {
                0 => _ = self.common_type()?,
                1 => ids.0 = self.int()?,
                2 => ids.1 = self.int()?,
                _ => return None,
            }
        }
        Some(ids)
    }

    fn struct_type(&mut self) -> Option<Type> {
        let (mut fields, mut position) = (Vec::new(), FieldPosition::default());
        while let Some(number) = self.next_field(&mut position)? {
            match number {
                0 => _ = self.common_type()?,
                1 => {
                    for _ in 0..self.count()? {
                        fields.push(self.common_type()?);
                    }
                }
                _ => return None,
            }
        }
        Some(Type::Struct(fields.into()))
    }

    fn encoder_type(&mut self, kind: usize) -> Option<Type> {
        let (mut name, mut position) = (Box::default(), FieldPosition::default());
        while let Some(number) = self.next_field(&mut position)? {
            match number {
                0 => name = self.common_type()?.0,
                _ => return None,
            }
        }
        Some(if kind == GOB_ENCODER_TYPE && *name == *"Time" { Type::Time } else { Type::Opaque })
    }

    /// Reads a struct of a name and an id: Go's `CommonType` and `fieldType`.
    fn common_type(&mut self) -> Option<(Box<str>, i64)> {
        let (mut name, mut id, mut position) = (Box::default(), 0, FieldPosition::default());
        while let Some(number) = self.next_field(&mut position)? {
            match number {
                0 => name = self.text()?.into(),
                1 => id = self.int()?,
                _ => return None,
            }
        }
        Some((name, id))
    }

    /// Reads the map of all values.
    fn values(&mut self) -> Option<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for _ in 0..self.count()? {
            let name = self.text()?.to_owned();
            let mut json = String::new();
            self.interface(MAX_DEPTH, &mut json)?;
            values.insert(name, json);
        }
        Some(values)
    }

    /// Reads a value of any type, which begins with the name of the type.
    fn interface(&mut self, depth_left: usize, json: &mut String) -> Option<()> {
        let name = self.text()?;
        if name.is_empty() {
            json.push_str("null");
            return Some(());
        }
        if name.contains('.') && !PLAIN_NAMES.contains(&name) {
            return None;
        }
        let id = self.type_sequence()?;
        // The length, for readers that skip the value, and the mark of a value that is no struct.
        self.uint()?;
        if self.uint()? != 0 {
            return None;
        }
        self.value(id, depth_left.checked_sub(1)?, json)
    }

    /// Reads a value, and writes it as JSON.
    fn value(&mut self, id: i64, depth_left: usize, json: &mut String) -> Option<()> {
        match id {
            BOOL => json.push_str(match self.uint()? {
                0 => "false",
                1 => "true",
                _ => return None,
            }),
            INT => json.push_str(&self.int()?.to_string()),
            UINT => json.push_str(&self.uint()?.to_string()),
            FLOAT => {
                let number = f64::from_bits(self.uint()?.swap_bytes());
                json.push_str(&serde_json::Number::from_f64(number)?.to_string());
            }
            BYTES => json.push_str(&format!("\"{}\"", STANDARD.encode(self.bytes()?))),
            STRING => json.push_str(&as_json(self.text()?)),
            INTERFACE => self.interface(depth_left, json)?,
            _ => self.defined_value(id, depth_left, json)?,
        }
        Some(())
    }

    /// Reads a value of a type that the stream defines.
    fn defined_value(&mut self, id: i64, depth_left: usize, json: &mut String) -> Option<()> {
        match *self.types.get(&id)? {
            Type::Slice(element) => {
                let depth_left = depth_left.checked_sub(1)?;
                json.push('[');
                for n in 0..self.count()? {
                    json.push_str(if n > 0 { "," } else { "" });
                    self.value(element, depth_left, json)?;
                }
                json.push(']');
            }
            Type::Map { key: STRING, element } => {
                let depth_left = depth_left.checked_sub(1)?;
                json.push('{');
                for n in 0..self.count()? {
                    json.push_str(if n > 0 { "," } else { "" });
                    json.push_str(&as_json(self.text()?));
                    json.push(':');
                    self.value(element, depth_left, json)?;
                }
                json.push('}');
            }
            Type::Time => json.push_str(&as_json(&GoTime::parse(self.bytes()?)?.rfc3339()?)),
            Type::Map { .. } | Type::Struct(_) | Type::Opaque => return None,
        }
        Some(())
    }
}

fn as_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Types of Go's library whose JSON is known. Other names with a dot are of the application's own types.
const PLAIN_NAMES: [&str; 2] = ["time.Time", "time.Duration"];

/// The most levels of maps, slices and interfaces in a value.
const MAX_DEPTH: usize = 127;

// The ids of Go's own types.
const BOOL: i64 = 1;
const INT: i64 = 2;
const UINT: i64 = 3;
const FLOAT: i64 = 4;
const BYTES: i64 = 5;
const STRING: i64 = 6;
const INTERFACE: i64 = 8;

// The fields of Go's `wireType`.
const ARRAY_TYPE: usize = 0;
const SLICE_TYPE: usize = 1;
const STRUCT_TYPE: usize = 2;
const MAP_TYPE: usize = 3;
const GOB_ENCODER_TYPE: usize = 4;
const BINARY_MARSHALER_TYPE: usize = 5;
const TEXT_MARSHALER_TYPE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> GobReader<'_> {
        GobReader { rest: bytes, types: BTreeMap::new() }
    }

    #[test]
    fn integers_have_the_bytes_of_gobs_documentation() {
        for (bytes, number) in [(b"\0".as_slice(), 0), (b"\x07", 7), (b"\xfe\x01\x00", 256), (b"\xff\x80", 128)] {
            assert_eq!(reader(bytes).uint(), Some(number), "{bytes:x?}");
        }
        for (bytes, number) in [(b"\xfe\x01\x01".as_slice(), -129), (b"\x2c", 22), (b"\x01", -1)] {
            assert_eq!(reader(bytes).int(), Some(number), "{bytes:x?}");
        }
        for bytes in [b"".as_slice(), b"\xfe\x01", b"\xf7\0\0\0\0\0\0\0\0\0", b"\x80"] {
            assert_eq!(reader(bytes).uint(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn a_value_nested_too_deep_is_refused() {
        let nested = [0x10].repeat(10_000);
        let mut deep = reader(&nested);
        deep.types.insert(65, Type::Slice(65));

        assert_eq!(deep.value(65, MAX_DEPTH, &mut String::new()), None);
    }
}
