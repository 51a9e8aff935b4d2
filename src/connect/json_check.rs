//! Errors in the JSON of a message that its conversion does not refuse.
//!
//! The conversion takes the last of several equal names, so a save would lose what the others say. It cuts a fraction of
//! a second after nine digits. And it takes up to 800 bytes for each member, so a text of nothing but members would
//! take 50 times its size; no RPC needs so many.

use std::fmt;

use hashbrown::HashSet;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Checks a JSON text of a message. What the conversion refuses may pass.
pub(super) fn check(message: &MessageDescriptor, json: &[u8]) -> Result<(), serde_json::Error> {
    let walk = Walk { shape: Shape::Message(message.clone()), values: &mut 0 };
    walk.deserialize(&mut serde_json::Deserializer::from_slice(json))
}

/// The walk through one value.
struct Walk<'v> {
    shape: Shape,
    /// The number of members and elements so far, in the whole text.
    values: &'v mut usize,
}

/// The shape of a value.
enum Shape {
    Message(MessageDescriptor),
    /// A map with values of this kind.
    Map(Kind),
    List(Kind),
    /// A duration or a timestamp.
    Time,
    Other,
}

impl Shape {
    fn of_field(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => Self::Map(entry.map_entry_value_field().kind()),
            kind if field.is_list() => Self::List(kind),
            kind => Self::of_kind(&kind),
        }
    }

    fn of_kind(kind: &Kind) -> Self {
        match kind {
            Kind::Message(message) => match message.full_name() {
                "google.protobuf.Duration" | "google.protobuf.Timestamp" => Self::Time,
                _ => Self::Message(message.clone()),
            },
            _ => Self::Other,
        }
    }
}

impl Walk<'_> {
    fn count<E: Error>(&mut self) -> Result<(), E> {
        *self.values += 1;
        match *self.values > MAX_VALUES {
            true => Err(E::custom(format_args!("more than {MAX_VALUES} members and elements"))),
            false => Ok(()),
        }
    }

    fn message<'de, A: MapAccess<'de>>(mut self, message: &MessageDescriptor, mut map: A) -> Result<(), A::Error> {
        let mut numbers = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            self.count()?;
            let field = message.get_field_by_json_name(&name).or_else(|| message.get_field_by_name(&name));
            if let Some(field) = &field {
                if numbers.contains(&field.number()) {
                    return Err(repeated(&name));
                }
                numbers.push(field.number());
            }
            let shape = field.as_ref().map_or(Shape::Other, Shape::of_field);
            map.next_value_seed(Walk { shape, values: self.values })?;
        }
        Ok(())
    }

    fn map<'de, A: MapAccess<'de>>(mut self, kind: &Kind, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            self.count()?;
            map.next_value_seed(Walk { shape: Shape::of_kind(kind), values: self.values })?;
            if let Some(name) = names.replace(name) {
                return Err(repeated(&name));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        match self.shape {
            Shape::Other => IgnoredAny::deserialize(value).map(|_| ()),
            _ => value.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        match std::mem::replace(&mut self.shape, Shape::Other) {
            Shape::Message(message) => self.message(&message, map),
            Shape::Map(kind) => self.map(&kind, map),
            Shape::List(_) | Shape::Time | Shape::Other => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(())
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let kind = match std::mem::replace(&mut self.shape, Shape::Other) {
            Shape::List(kind) => Some(kind),
            Shape::Message(_) | Shape::Map(_) | Shape::Time | Shape::Other => None,
        };
        let shape = || kind.as_ref().map_or(Shape::Other, Shape::of_kind);
        while list.next_element_seed(Walk { shape: shape(), values: self.values })?.is_some() {
            self.count()?;
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let Shape::Time = self.shape else { return Ok(()) };
        let digits = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
        match digits > 9 {
            true => Err(E::custom(format_args!("{text:?}: a fraction of a second has at most nine digits"))),
            false => Ok(()),
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

fn repeated<E: Error>(name: &str) -> E {
    E::custom(format_args!("repeated name '{name}'"))
}

/// A save has at most 8192 changes, each with a name and a value.
const MAX_VALUES: usize = 32 * 1024;
