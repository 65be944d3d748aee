//! The JSON of kubectl and Consul, an object at a time: a cluster's list has hundreds of megabytes, and its names a few.

use std::fmt;
use std::io::BufRead;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::table::Builder;
use super::{consul, kubernetes};

/// Reads the documents of a file, which may follow each other (Consul answers one service at a time).
pub(super) fn read(input: &mut dyn BufRead, builder: &mut Builder) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_reader(input);
    let mut cluster = kubernetes::Cluster::default();
    let mut number = 0_u64;
    while json.end().is_err() {
        let take = &mut |object: Value| {
            number += 1;
            if !cluster.take(&object, number, builder) && !consul::take(&object, number, builder) {
                builder.fault(
                    format!("item {number}"),
                    "is neither a pod, service or node of kubectl, nor an instance of Consul's catalog",
                );
            }
        };
        let read = Document { take }.deserialize(&mut json);
        if let Err(error) = read {
            // After a fault nothing says where the next document begins.
            let place = if number > 0 { format!(", after item {number}") } else { String::new() };
            return Err(format!("is not valid JSON: {error}{place}"));
        }
    }
    cluster.finish(builder);
    Ok(())
}

/// A document: its objects go to `take`.
struct Document<'t> {
    take: &'t mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of kubectl or a list of Consul")
    }

    /// `{"kind":"List","items":[…]}`, or one pod or service.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut rest = Map::new();
        let mut is_list = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                is_list = true;
                map.next_value_seed(Items { take: self.take })?;
            } else {
                let value = map.next_value()?;
                rest.insert(key, value);
            }
        }
        if !is_list {
            (self.take)(Value::Object(rest));
        }
        Ok(())
    }

    /// What Consul answers.
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        each(items, self.take)
    }
}

/// Takes the items of a list one at a time.
fn each<'de, A: SeqAccess<'de>>(mut items: A, take: &mut dyn FnMut(Value)) -> Result<(), A::Error> {
    while let Some(item) = items.next_element::<Value>()? {
        take(item);
    }
    Ok(())
}

/// The items of a list.
struct Items<'t> {
    take: &'t mut dyn FnMut(Value),
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        each(items, self.take)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
