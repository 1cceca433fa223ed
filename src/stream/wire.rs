//! Values as the Data API writes them, read leniently and without copying where the text allows.
//!
//! The documents and the answers disagree about numbers and texts, nulls and empty arrays, spaces and `T` in dates
//! (data-api, 12). Each type here accepts every spelling that keeps the meaning, and refuses the rest with a reason
//! that ends up in the dead letter.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::time::LocalTime;

/// A text, borrowed from the page unless it holds escapes. Numbers and booleans are taken as their text.
pub type Text<'a> = Cow<'a, str>;

/// Columns this version does not know: name and JSON text, so that nothing is lost.
pub type Extra<'a> = Vec<(String, &'a RawValue)>;

/// A time column: the text as it came and the wall-clock time it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireTime<'a> {
    pub text: Text<'a>,
    pub local: LocalTime,
}

/// Money in ten-thousandths: what `decimal(18,4)` holds. Never a float on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money(pub i64);

/// How a column is read from JSON.
pub trait FromWire<'de>: Sized {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// The value of a column that the row does not have; None when the column is required.
    fn absent() -> Option<Self>;
}

/// Says which column a value did not fit.
pub fn column_error<E: de::Error>(column: &'static str, error: E) -> E {
    E::custom(format_args!("column `{column}`: {error}"))
}

/// The value of a column that the row does not have.
pub fn missing_column<'de, T: FromWire<'de>, E: de::Error>(column: &'static str) -> Result<T, E> {
    T::absent().ok_or_else(|| E::custom(format_args!("column `{column}` is missing")))
}

/// A required column refuses null as it refuses to be absent.
fn required<T, E: de::Error>(value: Option<T>) -> Result<T, E> {
    value.ok_or_else(|| E::custom("is null or empty, expected a value"))
}

impl<'de> FromWire<'de> for i64 {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        required(Option::<i64>::from_wire(deserializer)?)
    }

    fn absent() -> Option<Self> {
        None
    }
}

impl<'de> FromWire<'de> for WireTime<'de> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        required(Option::<WireTime<'de>>::from_wire(deserializer)?)
    }

    fn absent() -> Option<Self> {
        None
    }
}

/// Lets serde read a value through [`FromWire`].
pub struct Wire<T>(pub T);

impl<'de, T: FromWire<'de>> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::from_wire(deserializer).map(Wire)
    }
}

impl<'de> FromWire<'de> for Option<Text<'de>> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Option<Text<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(number.to_string())))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

impl<'de> FromWire<'de> for Option<i64> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LongVisitor)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

struct LongVisitor;

impl Visitor<'_> for LongVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of at most 64 bits")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        i64::try_from(number).map(Some).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        // 2^53: above it a float no longer names one whole number.
        if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
            Ok(Some(number as i64))
        } else {
            Err(E::invalid_value(de::Unexpected::Float(number), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text.trim() {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

impl<'de> FromWire<'de> for Option<bool> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BoolVisitor)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

struct BoolVisitor;

impl Visitor<'_> for BoolVisitor {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        match number {
            0 => Ok(Some(false)),
            1 => Ok(Some(true)),
            _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text.trim() {
            "" => Ok(None),
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

impl<'de> FromWire<'de> for Option<WireTime<'de>> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<Text<'de>>::from_wire(deserializer)?.filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let local = LocalTime::parse(&text)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"a time as YYYY-MM-DD hh:mm:ss"))?;
        Ok(Some(WireTime { text, local }))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<'de> FromWire<'de> for Option<Money> {
    /// Reads the digits as they stand in the JSON: a float between would round cents.
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let text = raw.trim_matches('"').trim();
        if text.is_empty() || text == "null" {
            return Ok(None);
        }
        Money::parse(text)
            .map(Some)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Other(raw), &"an amount that fits decimal(18,4)"))
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Money {
    pub const SCALE: u32 = 4;
    const LARGEST: i128 = 10_i128.pow(18) - 1;

    /// Reads a decimal number, with an exponent if there is one; digits behind the fourth are rounded half away from
    /// zero, as they can only be the noise of a sender's float.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(Self::SCALE as i32)?;
        let units = scaled(&digits, point)?;
        let units = i64::try_from(units).ok()?;
        Some(Self(if negative { -units } else { units }))
    }

    /// Two's complement, big-endian, shortest: the bytes of an Avro decimal.
    pub fn to_avro_bytes(self) -> ([u8; 8], usize) {
        let bytes = self.0.to_be_bytes();
        let sign = if self.0 < 0 { 0xff } else { 0x00 };
        let redundant = bytes.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0).count();
        (bytes, redundant)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u64.pow(Self::SCALE);
        let units = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:04}", units / one, units % one)
    }
}

/// The digits before position `point` as a number, rounded by the digit at it.
fn scaled(digits: &[u8], point: i32) -> Option<i128> {
    let mut units: i128 = 0;
    for position in 0..point.max(0) {
        let digit = usize::try_from(position).ok().and_then(|at| digits.get(at)).map_or(0, |digit| digit - b'0');
        if units == 0 && position as usize >= digits.len() {
            // A zero with a large exponent is still zero, and not worth counting up to.
            return Some(0);
        }
        units = units * 10 + i128::from(digit);
        if units > Money::LARGEST {
            return None;
        }
    }
    let next = usize::try_from(point).ok().and_then(|at| digits.get(at));
    if next.is_some_and(|digit| *digit >= b'5') {
        units += 1;
    }
    (units <= Money::LARGEST).then_some(units)
}

/// A list whose elements are values of their own; null is the empty list.
pub fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            elements.push(element);
        }
        Ok(elements)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// A list of texts; nulls among them say nothing and are dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts<'a>(pub Vec<Text<'a>>);

impl<'de> FromWire<'de> for Texts<'de> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts: Vec<Wire<Option<Text<'de>>>> = list(deserializer)?;
        Ok(Self(texts.into_iter().filter_map(|text| text.0).collect()))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// A list of nested records; nulls among them are dropped as well.
#[derive(Clone, Debug)]
pub struct Items<T>(pub Vec<T>);

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> FromWire<'de> for Items<T> {
    fn from_wire<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items: Vec<Option<T>> = list(deserializer)?;
        Ok(Self(items.into_iter().flatten().collect()))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<'de, T: FromWire<'de>>(json: &'de str) -> Result<T, String> {
        serde_json::from_str::<Wire<T>>(json).map(|wire| wire.0).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for json in ["267", "267.0", "\"267\"", "\" 267 \"", "2.67e2"] {
            assert_eq!(read::<Option<i64>>(json), Ok(Some(267)), "{json}");
        }
        assert_eq!(read::<Option<i64>>("null"), Ok(None));
        assert_eq!(read::<Option<i64>>("9223372036854775807"), Ok(Some(i64::MAX)));
        for json in ["1.5", "\"abc\"", "9223372036854775808", "[]", "{}", "true"] {
            assert!(read::<Option<i64>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn texts_accept_numbers_and_keep_borrowed_ones() {
        assert!(matches!(read::<Option<Text>>("\"okna\""), Ok(Some(Cow::Borrowed("okna")))));
        assert_eq!(read::<Option<Text>>("\"a\\n\""), Ok(Some("a\n".into())));
        assert_eq!(read::<Option<Text>>("79990005566"), Ok(Some("79990005566".into())));
        assert!(read::<Option<Text>>("{}").is_err());
    }

    #[test]
    fn money_keeps_every_digit_of_four_places() {
        for (text, units) in [
            ("48500.5", 485_005_000),
            ("0", 0),
            ("-0.0001", -1),
            ("0.30000000000000004", 3000),
            ("0.00005", 1),
            ("0.000049", 0),
            ("1e3", 10_000_000),
            ("12.5E-1", 12_500),
            ("0e2000000000", 0),
            ("1e-2000000000", 0),
            ("99999999999999.9999", 999_999_999_999_999_999),
        ] {
            assert_eq!(Money::parse(text), Some(Money(units)), "{text}");
        }
        for text in ["", ".", "abc", "1.2.3", "100000000000000", "1e400", "0x10", "--1"] {
            assert_eq!(Money::parse(text), None, "{text}");
        }
    }

    #[test]
    fn money_bytes_are_the_shortest_two_s_complement() {
        for (units, expected) in
            [(0_i64, &[0_u8][..]), (1, &[1]), (-1, &[255]), (127, &[127]), (128, &[0, 128]), (-129, &[255, 127])]
        {
            let (bytes, from) = Money(units).to_avro_bytes();
            assert_eq!(&bytes[from..], expected, "{units}");
        }
    }

    #[test]
    fn lists_may_be_null_and_times_may_carry_a_t() {
        assert_eq!(read::<Texts>("null"), Ok(Texts::default()));
        assert_eq!(read::<Texts>("[\"a\", null, 7]"), Ok(Texts(vec!["a".into(), "7".into()])));
        let time = read::<Option<WireTime>>("\"2022-10-19T23:12:09+03:00\"").unwrap().unwrap();
        assert_eq!(time.local.to_string(), "2022-10-19 23:12:09");
        assert_eq!(read::<Option<WireTime>>("\"\""), Ok(None));
        assert!(read::<Option<WireTime>>("\"2026-13-45 00:00:00\"").is_err());
    }
}
