//! JSON without guessing: a key given twice, a lone surrogate, NaN or deep nesting is refused, not interpreted.
//!
//! Reads one object and keeps the raw text of the fields that are asked for; the rest is checked and dropped. One
//! pass for each byte that is dropped, two for one that is kept; recursion ends at [`MAX_DEPTH`].

use super::text;
use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Arrays and objects within each other, the outermost counted.
pub const MAX_DEPTH: usize = 64;

/// The fields found in an object: which, and the JSON text of its value.
pub type Fields<'de> = Vec<(&'static str, &'de str)>;

/// Why a text gives no object.
#[derive(Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It is no JSON, or none that means one thing only.
    Invalid(String),
    /// It is JSON of another kind.
    NotAnObject,
}

/// Reads an object; those of its fields that are `wanted` go to `found`, also when an error comes after them.
pub fn read_object<'de>(
    frame: &'de [u8],
    wanted: &'static [&'static str],
    found: &mut Fields<'de>,
) -> Result<(), JsonError> {
    let text = readable(frame)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let is_object = text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{');
    let read = if is_object {
        deserializer.deserialize_map(Outermost { wanted, found })
    } else {
        Strict { levels: MAX_DEPTH }.deserialize(&mut deserializer)
    };
    match read.and_then(|()| deserializer.end()) {
        Err(error) => Err(JsonError::Invalid(error.to_string())),
        Ok(()) if is_object => Ok(()),
        Ok(()) => Err(JsonError::NotAnObject),
    }
}

fn readable(frame: &[u8]) -> Result<&str, JsonError> {
    let text = std::str::from_utf8(frame)
        .map_err(|error| JsonError::Invalid(format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::Invalid("it begins with a byte order mark".to_owned()));
    }
    Ok(text)
}

/// A key of an object; borrowed where it has no escapes.
#[derive(serde::Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys of one object so far.
#[derive(Default)]
struct Keys<'de>(HashSet<Key<'de>>);

impl<'de> Keys<'de> {
    fn note<E: serde::de::Error>(&mut self, key: Key<'de>) -> Result<(), E> {
        if self.0.contains(&key) {
            return Err(E::custom(format_args!("key \"{}\" is given twice", text::echoed(&key.0))));
        }
        self.0.insert(key);
        Ok(())
    }
}

/// The object a request is.
struct Outermost<'f, 'de> {
    wanted: &'static [&'static str],
    found: &'f mut Fields<'de>,
}

impl<'de> Visitor<'de> for Outermost<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            let wanted = self.wanted.iter().copied().find(|wanted| *wanted == key.0);
            if let Err(twice) = keys.note(key) {
                self.found.retain(|(name, _)| Some(*name) != wanted);
                return Err(twice);
            }
            match wanted {
                Some(name) => self.found.push((name, checked(map.next_value::<&'de RawValue>()?.get())?)),
                None => map.next_value_seed(Strict { levels: MAX_DEPTH - 1 })?,
            }
        }
        Ok(())
    }
}

fn checked<E: serde::de::Error>(value: &str) -> Result<&str, E> {
    let mut deserializer = serde_json::Deserializer::from_str(value);
    Strict { levels: MAX_DEPTH - 1 }.deserialize(&mut deserializer).map_err(|error| E::custom(reason(&error)))?;
    Ok(value)
}

/// The text of an error without its position, which would count from the start of the value.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Any value that means one thing only, up to so many levels deep.
struct Strict {
    levels: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.levels.checked_sub(1).ok_or_else(|| E::custom(format_args!("nested deeper than {MAX_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
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

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let levels = self.inner::<A::Error>()?;
        while seq.next_element_seed(Strict { levels })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let levels = self.inner::<A::Error>()?;
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            keys.note::<A::Error>(key)?;
            map.next_value_seed(Strict { levels })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<(), String> {
        match read_object(text, &["id"], &mut Fields::new()) {
            Ok(()) => Ok(()),
            Err(JsonError::Invalid(why)) => Err(why),
            Err(JsonError::NotAnObject) => Err("not an object".to_owned()),
        }
    }

    fn nested(levels: usize) -> String {
        format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    #[test]
    fn what_means_one_thing_is_read() {
        for text in ["{}", " \t\r\n{ } ", r#"{"a":{"a":{"a":[1,-2.5e3,null,true,"\ud83d\ude00\u0000"]}}}"#, r#"{"":1}"#]
        {
            assert_eq!(read(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let twice = |key: &str| format!("key \"{key}\" is given twice");
        for (text, why) in [
            (r#"{"id":1,"id":1}"#, twice("id")),
            (r#"{"a":1,"\u0061":2}"#, twice("a")),
            (r#"{"x":[{"b":1,"c":{},"b":2}]}"#, twice("b")),
            (r#"{"id":{"b":1,"b":2}}"#, twice("b")),
            (r#"{"a\u001b":1,"a\u001b":1}"#, twice("a\\x1b")),
            (r#"{"id":"\ud800"}"#, "unexpected end of hex escape".to_owned()),
            (r#"{"id":"\udc00"}"#, "lone leading surrogate".to_owned()),
            (r#"{"x":"\ud800x"}"#, "unexpected end of hex escape".to_owned()),
            (r#"{"\ud800":1}"#, "unexpected end of hex escape".to_owned()),
            (r#"{"x":NaN}"#, "expected value".to_owned()),
            (r#"{"id":-Infinity}"#, "invalid number".to_owned()),
            ("\u{feff}{}", "it begins with a byte order mark".to_owned()),
            ("{} {}", "trailing characters".to_owned()),
        ] {
            let refusal = read(text.as_bytes()).unwrap_err();
            assert!(refusal.contains(&why), "{text}: {refusal}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), Err("not UTF-8 at byte 6".to_owned()));
    }

    #[test]
    fn levels_are_counted_alike_in_kept_and_dropped_fields() {
        for key in ["a", "id"] {
            assert_eq!(read(nested(MAX_DEPTH).replace('a', key).as_bytes()), Ok(()));
            let deeper = read(nested(MAX_DEPTH + 1).replace('a', key).as_bytes()).unwrap_err();
            assert!(deeper.contains("nested deeper than 64 levels"), "{deeper}");
        }
        let mixed = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert_eq!(read(mixed(MAX_DEPTH).as_bytes()), Ok(()));
        assert!(read(mixed(MAX_DEPTH + 1).as_bytes()).is_err());
        assert_eq!(read(format!("{}{}", "[".repeat(64), "]".repeat(64)).as_bytes()), Err("not an object".to_owned()));
        assert!(read(format!("{}{}", "[".repeat(65), "]".repeat(65)).as_bytes()).unwrap_err().contains("64 levels"));
    }

    #[test]
    fn what_was_read_before_an_error_is_kept_unless_it_is_the_error() {
        let mut found = Fields::new();
        assert!(read_object(br#"{"id": 7, "x": nope}"#, &["id"], &mut found).is_err());
        assert_eq!(found, [("id", "7")]);
        found.clear();
        assert!(read_object(br#"{"id": 7, "id": 8}"#, &["id"], &mut found).is_err());
        assert_eq!(found, []);
    }
}
