//! One table of columns per record: from it follow the struct, what is asked of the API, decoding, the fingerprint of
//! each part and the fields of the event.
//!
//! Written out by hand, a new column would have to be added in five places, and forgetting one would lose data
//! silently. [`wire_record!`] is the only place that knows how the five follow from a line of the table.

use jiff::tz::TimeZone;
use serde::Serialize;
use serde::ser::{SerializeStruct, SerializeTupleStruct, Serializer};
use serde_json::value::RawValue;

use super::wire::{Extra, FromWire, Items, Money, Text, Texts, WireTime};

/// Where a column goes in an event.
pub struct Place<'z> {
    pub name: &'static str,
    /// Of a time, the field of its text.
    pub local_name: &'static str,
    pub zone: &'z TimeZone,
}

/// What a column can do besides being read.
pub trait Column<'a>: FromWire<'a> {
    /// How many fields of an event the column takes.
    const FIELDS: usize = 1;

    /// Adds the column to an event: one field under the API's name; of a time two, the second being the text.
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error>;

    /// Adds what the fingerprint is made of. An empty column adds nothing, so that null, an empty text, an empty list
    /// and a column that was not there are the same.
    fn digest(&self, name: &'static str, digest: &mut Vec<u8>);

    /// The columns of nested records.
    const NESTED: &'static [&'static str] = &[];

    /// Adds unknown columns of nested records, under `column[index].name`.
    fn nested_extra(&self, _name: &str, _extra: &mut Extra<'a>) {}
}

/// A nested record: what [`wire_record!`] makes.
pub trait Record<'a>: Sized {
    /// The record's name in the schema.
    const NAME: &'static str;
    const COLUMNS: &'static [&'static str];
    const FIELDS: usize;

    fn write<S: SerializeStruct>(&self, zone: &TimeZone, fields: &mut S) -> Result<(), S::Error>;
    fn digest(&self, digest: &mut Vec<u8>);
    fn extra(&self) -> &Extra<'a>;
}

/// What is written field by field, in the order of its Avro schema.
pub trait Fields {
    const NAME: &'static str;
    const COUNT: usize;

    fn write<S: SerializeStruct>(&self, fields: &mut S) -> Result<(), S::Error>;

    /// By name where people read it. In Avro by position, which is all that is encoded: to look each name up costs more
    /// than to write the value. A field in the wrong place would be another field's value; tests hold both ways and
    /// the schema against each other.
    fn serialize_fields<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let mut fields = serializer.serialize_struct(Self::NAME, Self::COUNT)?;
            self.write(&mut fields)?;
            return fields.end();
        }
        let mut fields = ByPosition(serializer.serialize_tuple_struct(Self::NAME, Self::COUNT)?);
        self.write(&mut fields)?;
        fields.end()
    }
}

/// Takes named fields and passes them on without their names.
struct ByPosition<T>(T);

impl<T: SerializeTupleStruct> SerializeStruct for ByPosition<T> {
    type Ok = T::Ok;
    type Error = T::Error;

    fn serialize_field<V: Serialize + ?Sized>(&mut self, _: &'static str, value: &V) -> Result<(), T::Error> {
        self.0.serialize_field(value)
    }

    fn end(self) -> Result<T::Ok, T::Error> {
        self.0.end()
    }
}

/// Starts a column in a digest: its name, apart from what follows.
fn tag(name: &str, digest: &mut Vec<u8>) {
    digest.extend_from_slice(name.as_bytes());
    digest.push(0);
}

/// A value with its length before it, so that two texts cannot run into each other.
fn bytes(value: &[u8], digest: &mut Vec<u8>) {
    digest.extend_from_slice(&(value.len() as u64).to_le_bytes());
    digest.extend_from_slice(value);
}

/// A set of values without an order: the sum of their hashes, and how many.
fn unordered(name: &str, hashes: impl Iterator<Item = u64>, digest: &mut Vec<u8>) {
    let (count, sum) = hashes.fold((0_u64, 0_u64), |(count, sum), hash| (count + 1, sum.wrapping_add(hash)));
    if count > 0 {
        tag(name, digest);
        digest.extend_from_slice(&count.to_le_bytes());
        digest.extend_from_slice(&sum.to_le_bytes());
    }
}

impl<'a> Column<'a> for i64 {
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, self)
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        tag(name, digest);
        digest.extend_from_slice(&self.to_le_bytes());
    }
}

impl<'a> Column<'a> for Option<i64> {
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, self)
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        if let Some(number) = self {
            number.digest(name, digest);
        }
    }
}

impl<'a> Column<'a> for Option<bool> {
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, self)
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        if let Some(value) = self {
            tag(name, digest);
            digest.push(u8::from(*value));
        }
    }
}

impl<'a> Column<'a> for Option<Text<'a>> {
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, self)
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        if let Some(text) = self.as_deref().filter(|text| !text.is_empty()) {
            tag(name, digest);
            bytes(text.as_bytes(), digest);
        }
    }
}

impl<'a> Column<'a> for WireTime<'a> {
    const FIELDS: usize = 2;

    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, &self.local.to_instant(place.zone).unix_millis())?;
        event.serialize_field(place.local_name, &self.text)
    }

    /// By meaning, not by text: a `T` for the space is no change. The moment is not in it, so that the zone is not
    /// either; see [`digest_offset`].
    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        tag(name, digest);
        digest.extend_from_slice(&self.local.seconds().to_le_bytes());
    }
}

impl<'a> Column<'a> for Option<WireTime<'a>> {
    const FIELDS: usize = 2;

    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        let millis = self.as_ref().map(|time| time.local.to_instant(place.zone).unix_millis());
        event.serialize_field(place.name, &millis)?;
        event.serialize_field(place.local_name, &self.as_ref().map(|time| &time.text))
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        if let Some(time) = self {
            time.digest(name, digest);
        }
    }
}

impl Serialize for Money {
    /// Avro's bytes, or a decimal number as text where people read it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let (bytes, from) = self.to_avro_bytes();
        serializer.serialize_bytes(&bytes[from..])
    }
}

impl<'a> Column<'a> for Option<Money> {
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, self)
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        if let Some(Money(units)) = self {
            units.digest(name, digest);
        }
    }
}

impl<'a> Column<'a> for Texts<'a> {
    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, &self.0)
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        unordered(name, self.0.iter().map(|text| hash(text.as_bytes())), digest);
    }
}

impl<'a, T: Record<'a>> Column<'a> for Items<T>
where
    Items<T>: FromWire<'a>,
{
    const NESTED: &'static [&'static str] = T::COLUMNS;

    fn write<S: SerializeStruct>(&self, place: &Place<'_>, event: &mut S) -> Result<(), S::Error> {
        event.serialize_field(place.name, &InZone { items: self, zone: place.zone, row: std::marker::PhantomData })
    }

    fn digest(&self, name: &'static str, digest: &mut Vec<u8>) {
        let mut scratch = Vec::new();
        let hashes = self.0.iter().map(|item| {
            scratch.clear();
            item.digest(&mut scratch);
            hash(&scratch)
        });
        unordered(name, hashes, digest);
    }

    fn nested_extra(&self, name: &str, extra: &mut Extra<'a>) {
        for (index, item) in self.0.iter().enumerate() {
            let named = item.extra().iter().map(|(key, json)| (format!("{name}[{index}].{key}"), *json));
            extra.extend(named);
        }
    }
}

/// Nested records hold times too, so the zone has to come along.
struct InZone<'i, 'a, T> {
    items: &'i Items<T>,
    zone: &'i TimeZone,
    row: std::marker::PhantomData<&'a ()>,
}

impl<'a, T: Record<'a>> Serialize for InZone<'_, 'a, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items.0.iter().map(|item| One { item, zone: self.zone, row: self.row }))
    }
}

struct One<'i, 'a, T> {
    item: &'i T,
    zone: &'i TimeZone,
    row: std::marker::PhantomData<&'a ()>,
}

impl<'a, T: Record<'a>> Fields for One<'_, 'a, T> {
    const NAME: &'static str = T::NAME;
    const COUNT: usize = T::FIELDS;

    fn write<S: SerializeStruct>(&self, fields: &mut S) -> Result<(), S::Error> {
        self.item.write(self.zone, fields)
    }
}

impl<'a, T: Record<'a>> Serialize for One<'_, 'a, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.serialize_fields(serializer)
    }
}

/// Digests unknown columns by content, whatever the order in which they and the keys inside them stand.
pub fn digest_extra(extra: &Extra<'_>, digest: &mut Vec<u8>) {
    let mut scratch = Vec::new();
    let contents = extra.iter().map(|(name, json)| (name, canonical_json(json)));
    let hashes = contents.filter(|(_, json)| !is_empty_json(json)).map(|(name, json)| {
        scratch.clear();
        tag(name, &mut scratch);
        bytes(json.as_bytes(), &mut scratch);
        hash(&scratch)
    });
    unordered("extra", hashes, digest);
}

/// Adds how far the account's clock was from UTC: with it the moment changes that an event tells.
pub fn digest_offset(time: &WireTime<'_>, zone: &TimeZone, digest: &mut Vec<u8>) {
    let offset = time.local.seconds() - time.local.to_instant(zone).unix_seconds();
    digest.extend_from_slice(&offset.to_le_bytes());
}

fn is_empty_json(json: &str) -> bool {
    matches!(json, "null" | "[]" | "{}" | "\"\"")
}

/// The JSON text with the keys of every object in order, so that equal contents are equal texts.
pub fn canonical_json(json: &RawValue) -> String {
    match serde_json::from_str::<serde_json::Value>(json.get()) {
        Ok(mut value) => {
            value.sort_all_objects();
            value.to_string()
        }
        Err(_) => json.get().to_owned(),
    }
}

/// The hash behind every fingerprint. Stored in the state topic: changing it republishes the horizon.
pub fn hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Where the digest of a column goes: one buffer for a nested record, one for each part of a row; none for a column that
/// does not count.
pub trait Digests {
    fn of(&mut self, column: &'static str) -> Option<&mut Vec<u8>>;
}

impl Digests for Vec<u8> {
    fn of(&mut self, _: &'static str) -> Option<&mut Vec<u8>> {
        Some(self)
    }
}

/// Makes a record from its table of columns, `name: type`.
macro_rules! wire_record {
    ($(#[$meta:meta])* $name:ident { $( $field:ident : $ty:ty ),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name<'a> {
            $( pub $field: $ty, )*
            /// Columns that are not in the table.
            pub extra: $crate::stream::wire::Extra<'a>,
        }

        impl<'a> $name<'a> {
            /// The columns in the order of the table.
            pub const COLUMNS: &'static [&'static str] = &[$( stringify!($field) ),*];

            /// For each of them, the columns of the records nested in it.
            pub const NESTED: &'static [&'static [&'static str]] =
                &[$( <$ty as $crate::stream::record::Column>::NESTED ),*];

            /// Adds every column to an event or a nested record.
            pub fn write_columns<S: serde::ser::SerializeStruct>(
                &self,
                zone: &jiff::tz::TimeZone,
                event: &mut S,
            ) -> Result<(), S::Error> {
                $( $crate::stream::record::Column::write(
                    &self.$field,
                    &$crate::stream::record::Place {
                        name: stringify!($field),
                        local_name: concat!(stringify!($field), "_local"),
                        zone,
                    },
                    event,
                )?; )*
                Ok(())
            }

            /// Adds what the fingerprints are made of.
            pub fn digest_columns(&self, digests: &mut impl $crate::stream::record::Digests) {
                $( if let Some(digest) = digests.of(stringify!($field)) {
                    $crate::stream::record::Column::digest(&self.$field, stringify!($field), digest);
                } )*
                if let Some(digest) = digests.of("extra") {
                    $crate::stream::record::digest_extra(&self.extra, digest);
                }
            }

            /// Unknown columns, those of nested records included.
            pub fn all_extra(&self) -> $crate::stream::wire::Extra<'a> {
                let mut extra = self.extra.clone();
                $( $crate::stream::record::Column::nested_extra(&self.$field, stringify!($field), &mut extra); )*
                extra
            }
        }

        impl<'a> $crate::stream::record::Record<'a> for $name<'a> {
            const NAME: &'static str = stringify!($name);
            const COLUMNS: &'static [&'static str] = $name::COLUMNS;
            const FIELDS: usize = 0 $( + <$ty as $crate::stream::record::Column>::FIELDS )*;

            fn write<S: serde::ser::SerializeStruct>(
                &self,
                zone: &jiff::tz::TimeZone,
                fields: &mut S,
            ) -> Result<(), S::Error> {
                self.write_columns(zone, fields)
            }

            fn digest(&self, digest: &mut Vec<u8>) {
                self.digest_columns(digest);
            }

            fn extra(&self) -> &$crate::stream::wire::Extra<'a> {
                &self.extra
            }
        }

        impl<'a> serde::Deserialize<'a> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
                struct RecordVisitor<'a>(std::marker::PhantomData<&'a ()>);

                impl<'a> serde::de::Visitor<'a> for RecordVisitor<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        use $crate::stream::wire::{Wire, column_error, missing_column};

                        $( let mut $field: Option<$ty> = None; )*
                        let mut extra = Vec::new();
                        while let Some(Wire(key)) = map.next_key::<Wire<Option<$crate::stream::wire::Text<'a>>>>()? {
                            match key.as_deref().unwrap_or_default() {
                                $( stringify!($field) => {
                                    let value = map.next_value::<Wire<$ty>>();
                                    $field = Some(value.map_err(|error| column_error(stringify!($field), error))?.0);
                                } )*
                                unknown => extra.push((unknown.to_owned(), map.next_value()?)),
                            }
                        }
                        Ok($name {
                            $( $field: match $field {
                                Some(value) => value,
                                None => missing_column(stringify!($field))?,
                            }, )*
                            extra,
                        })
                    }
                }

                deserializer.deserialize_map(RecordVisitor(std::marker::PhantomData))
            }
        }
    };
}
pub(crate) use wire_record;
