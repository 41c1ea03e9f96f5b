//! The published JSON Schemas of `run.json` and `repeats.json`: files beside this one, which a test holds to the types.

/// That of `run.json`.
pub const RUN: &str = include_str!("run.schema.json");
/// That of `repeats.json`.
pub const REPEATS: &str = include_str!("repeats.schema.json");

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use jsonschema::Validator;
    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::runfile::tests::{ended, manifest, write};
    use crate::runfile::{Repeats, Run, readback};

    /// The schema of what can be read as `T`, and where its file lies.
    fn generated<T: JsonSchema>(file: &str) -> String {
        let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
        let mut text = serde_json::to_string_pretty(&schema).expect("a schema has a text");
        text.push('\n');
        // Written where it can be taken from when the types have changed.
        let fresh = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(file);
        fs::create_dir_all(fresh.with_file_name("")).and_then(|()| fs::write(fresh, &text)).expect("it can be written");
        text
    }

    #[test]
    fn the_published_schemas_are_what_the_types_generate() {
        for (published, generated, file) in [
            (RUN, generated::<Run>("run.schema.json"), "run.schema.json"),
            (REPEATS, generated::<Repeats>("repeats.schema.json"), "repeats.schema.json"),
        ] {
            assert!(published == generated, "the types have changed: cp target/{file} src/runfile/{file}");
        }
    }

    fn validator(schema: &str) -> Validator {
        jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema")
    }

    /// Every value that differs from `value` by one change: a key too many, a key too few, another type.
    fn changed(value: &Value) -> Vec<Value> {
        let mut all = vec![if value.is_string() { json!(-1.5) } else { json!("other") }];
        match value {
            Value::Object(keys) => {
                let with = |key: &str, value: Value| {
                    let mut keys = keys.clone();
                    keys.insert(key.to_owned(), value);
                    Value::Object(keys)
                };
                // Beside the tag of a variant that holds nothing serde takes any key; the schema is stricter there.
                if !keys.keys().eq(["kind"]) {
                    all.push(with("unknown_key", Value::Null));
                }
                for (key, below) in keys {
                    let mut without = keys.clone();
                    without.remove(key);
                    all.push(Value::Object(without));
                    all.extend(changed(below).into_iter().map(|below| with(key, below)));
                }
            }
            // The first of a list stands for all: they are of one type.
            Value::Array(list) if !list.is_empty() => {
                all.extend(changed(&list[0]).into_iter().map(|first| json!([first])));
            }
            _ => {}
        }
        all
    }

    /// The schema takes what the types take, and nothing else.
    fn agrees<T: DeserializeOwned>(schema: &Validator, value: &Value) {
        let read = serde_json::from_value::<T>(value.clone());
        let fits = schema.validate(value);
        if read.is_ok() != fits.is_ok() {
            let (read, fits) = (read.map(drop), fits.map_err(|error| format!("{error} at {}", error.instance_path())));
            panic!("read: {read:?}, schema: {fits:?}");
        }
    }

    #[test]
    fn the_schema_takes_what_the_types_take_and_nothing_else() {
        let parent = tempfile::tempdir().expect("a folder");
        let all: Vec<_> = (0..40).map(|index| ended(index, index * 5)).collect();
        let runs = ["one", "two"].map(|id| {
            let origin_ns = id.len() as u64 + u64::from(id == "two");
            readback::read_run(&write(parent.path(), manifest(id, origin_ns), &all)).expect("a run")
        });
        let schema = validator(RUN);
        for run in [&manifest("running", 0), &runs[0]] {
            let value = serde_json::to_value(run).expect("a run has a text");
            schema.validate(&value).expect("it fits");
            changed(&value).iter().for_each(|value| agrees::<Run>(&schema, value));
        }
        let repeats = Repeats::of("two".to_owned(), (None, None), &runs).expect("of one workload");
        let value = serde_json::to_value(repeats).expect("it has a text");
        let schema = validator(REPEATS);
        schema.validate(&value).expect("it fits");
        changed(&value).iter().for_each(|value| agrees::<Repeats>(&schema, value));
    }
}
