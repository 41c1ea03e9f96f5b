//! Distributions as they are written: a plain value, or a table with one key that names the distribution.

use super::document::{Node, Value};
use super::problem::Fault;
use crate::profile::script::Distribution;
use crate::units;

/// No fault of its own means: neither a value nor a table.
type Refused = Option<Fault>;

/// How one value of a distribution is read.
type Read<'a> = &'a dyn Fn(&Node) -> Option<f64>;

/// How deep mixtures may lie in each other.
const DEPTH_MAX: u32 = 4;

/// A distribution of durations, in nanoseconds.
pub(super) fn times(node: &Node) -> Result<Distribution, Refused> {
    let read = |node: &Node| match &node.value {
        Value::Text(text) => units::parse_duration_ns(text).ok().map(|ns| ns as f64),
        _ => None,
    };
    distribution(node, &read, "a duration such as \"20ms\"", DEPTH_MAX)
}

/// A distribution of whole numbers up to `max`.
pub(super) fn counts(node: &Node, max: u64) -> Result<Distribution, Refused> {
    let read = |node: &Node| match node.value {
        Value::Integer(number) => {
            u64::try_from(number).ok().filter(|number| *number <= max).map(|number| number as f64)
        }
        _ => None,
    };
    distribution(node, &read, &format!("a whole number up to {max}"), DEPTH_MAX)
}

fn distribution(node: &Node, read: Read<'_>, one: &str, depth: u32) -> Result<Distribution, Refused> {
    if let Some(value) = read(node) {
        return Ok(Distribution::Constant(value));
    }
    let Value::Table(entries) = &node.value else { return Err(None) };
    let [(name, inner)] = &entries[..] else {
        return Err(refuse("a table with one key, the distribution's name", node));
    };
    let two = |keys: [&str; 2]| pair(inner, keys, read, name, one);
    match name.as_str() {
        "uniform" => {
            let [low, high] = two(["low", "high"])?;
            if low > high {
                return Err(refuse("uniform = [low, high] with low ≤ high", inner));
            }
            Ok(Distribution::Uniform { low, high })
        }
        "exponential" => match read(inner) {
            Some(mean) => Ok(Distribution::Exponential { mean }),
            None => Err(refuse(&format!("exponential = its mean, {one}"), inner)),
        },
        "lognormal" => {
            let [median, p99] = two(["median", "p99"])?;
            if median <= 0.0 || p99 < median {
                return Err(refuse("lognormal = { median = …, p99 = … } with 0 < median ≤ p99", inner));
            }
            Ok(Distribution::lognormal(median, p99))
        }
        "list" => list(inner, read, one),
        "mixture" => mixture(inner, read, one, depth),
        _ => Err(refuse("one of uniform, exponential, lognormal, mixture, list", node)),
    }
}

/// Two values as a table with these keys, or as a list in this order.
fn pair(node: &Node, keys: [&str; 2], read: Read<'_>, name: &str, one: &str) -> Result<[f64; 2], Refused> {
    let found = match &node.value {
        Value::List(list) if list.len() == 2 => [read(&list[0]), read(&list[1])],
        Value::Table(entries) if entries.len() == 2 => keys.map(|key| node.get(key).and_then(read)),
        _ => [None, None],
    };
    match found {
        [Some(first), Some(second)] => Ok([first, second]),
        _ => {
            let [first, second] = keys;
            Err(refuse(&format!("{name} = {{ {first} = …, {second} = … }}, each {one}"), node))
        }
    }
}

fn list(node: &Node, read: Read<'_>, one: &str) -> Result<Distribution, Refused> {
    let values = match &node.value {
        Value::List(list) if !list.is_empty() => list.iter().map(read).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    values.map(Distribution::Empirical).ok_or_else(|| refuse(&format!("list = one or more values, each {one}"), node))
}

fn mixture(node: &Node, read: Read<'_>, one: &str, depth: u32) -> Result<Distribution, Refused> {
    let expected = || refuse("mixture = a list of { weight = 9, of = … } with weights over 0", node);
    let Value::List(list) = &node.value else { return Err(expected()) };
    if list.is_empty() || depth == 0 {
        return Err(expected());
    }
    let part = |item: &Node| {
        let weight = match item.get("weight").map(|weight| &weight.value) {
            Some(Value::Integer(weight)) => *weight as f64,
            Some(Value::Float(weight)) => *weight,
            _ => 0.0,
        };
        let known = matches!(&item.value, Value::Table(entries) if entries.len() == 2);
        let of = item.get("of").filter(|_| known && weight > 0.0 && weight.is_finite()).ok_or_else(expected)?;
        Ok((weight, distribution(of, read, one, depth - 1).map_err(|fault| fault.or_else(|| refuse(one, of)))?))
    };
    list.iter().map(part).collect::<Result<_, Refused>>().map(Distribution::Mixture)
}

#[expect(clippy::unnecessary_wraps, reason = "a refusal with a fault of its own")]
fn refuse(expected: &str, found: &Node) -> Refused {
    Some(Fault::Expected { expected: expected.to_owned(), found: found.found() })
}
