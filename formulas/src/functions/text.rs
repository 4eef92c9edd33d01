//! Texts. Positions and lengths count Unicode characters, as in CEL.

use regex::{Regex, RegexBuilder};

use super::number::small_int;
use super::signature::{Want, list, takes};
use super::{Derivative, Function, Nulls, unsupported};
use crate::errors;
use crate::eval::Fuel;
use crate::problem::Error;
use crate::types::Type;
use crate::value::{Cell, Value};

const NO_SLOPE: Derivative = Derivative::None { why: "text has no slope" };

/// A function on texts with the usual rules.
const fn function(
    name: &'static str,
    doc: &'static str,
    example: &'static str,
    args: std::ops::RangeInclusive<usize>,
    result: fn(&[Type]) -> Result<Type, String>,
    call: fn(&[Value], &mut Fuel) -> Cell,
) -> Function {
    Function { name, doc, example, args, result, nulls: Nulls::Propagate, call, derivative: NO_SLOPE }
}

pub(super) const FUNCTIONS: &[Function] = &[
    function(
        "contains",
        "whether the text holds the other",
        "'hello'.contains('ell')",
        2..=2,
        |t| takes(t, &[Want::Text], Type::Bool),
        |v, fuel| test("contains", v, fuel, |a, b| a.contains(b)),
    ),
    function(
        "startsWith",
        "whether the text begins with the other",
        "'hello'.startsWith('he')",
        2..=2,
        |t| takes(t, &[Want::Text], Type::Bool),
        |v, fuel| test("startsWith", v, fuel, |a, b| a.starts_with(b)),
    ),
    function(
        "endsWith",
        "whether the text ends with the other",
        "'hello'.endsWith('lo')",
        2..=2,
        |t| takes(t, &[Want::Text], Type::Bool),
        |v, fuel| test("endsWith", v, fuel, |a, b| a.ends_with(b)),
    ),
    function(
        "matches",
        "whether the regular expression (RE2 syntax, linear time) is found in the text",
        "'order-17'.matches('^[a-z]+-[0-9]+$')",
        2..=2,
        |t| takes(t, &[Want::Text], Type::Bool),
        |v, fuel| {
            let (text, source) = two("matches", v)?;
            fuel.spend(10_000)?; // What compiling may cost.
            matches(&pattern(source)?, text, fuel)
        },
    ),
    function(
        "charAt",
        "the character at a position, counted from 0; at the end, the empty text",
        "'héllo'.charAt(1) == 'é' && 'abc'.charAt(3) == ''",
        2..=2,
        |t| takes(t, &[Want::Text, Want::Whole], Type::Text),
        char_at,
    ),
    function(
        "indexOf",
        "the position of the first occurrence, at or after the third argument; -1 if there is none",
        "'hello mellow'.indexOf('ello') == 1 && 'hello mellow'.indexOf('ello', 2) == 7 && 'a'.indexOf('b') == -1",
        2..=3,
        |t| takes(t, &[Want::Text, Want::Text, Want::Whole], Type::Int),
        index_of,
    ),
    function(
        "lastIndexOf",
        "the position of the last occurrence, at or before the third argument; -1 if there is none",
        "'hello mellow'.lastIndexOf('ello') == 7 && 'hello mellow'.lastIndexOf('ello', 6) == 1",
        2..=3,
        |t| takes(t, &[Want::Text, Want::Text, Want::Whole], Type::Int),
        last_index_of,
    ),
    function(
        "lowerAscii",
        "the text with A to Z in lower case",
        "'TacoCÆt'.lowerAscii() == 'tacocÆt'",
        1..=1,
        |t| takes(t, &[Want::Text], Type::Text),
        |v, fuel| mapped("lowerAscii", v, fuel, |s| s.to_ascii_lowercase()),
    ),
    function(
        "upperAscii",
        "the text with a to z in upper case",
        "'TacoCæt'.upperAscii() == 'TACOCæT'",
        1..=1,
        |t| takes(t, &[Want::Text], Type::Text),
        |v, fuel| mapped("upperAscii", v, fuel, |s| s.to_ascii_uppercase()),
    ),
    function(
        "lower",
        "the text in lower case, by Unicode",
        "lower('ÉTÉ') == 'été'",
        1..=1,
        |t| takes(t, &[Want::Text], Type::Text),
        |v, fuel| mapped("lower", v, fuel, |s| s.to_lowercase()),
    ),
    function(
        "upper",
        "the text in upper case, by Unicode",
        "upper('été') == 'ÉTÉ'",
        1..=1,
        |t| takes(t, &[Want::Text], Type::Text),
        |v, fuel| mapped("upper", v, fuel, |s| s.to_uppercase()),
    ),
    function(
        "trim",
        "the text without white space at its ends",
        "'  a b '.trim() == 'a b'",
        1..=1,
        |t| takes(t, &[Want::Text], Type::Text),
        |v, fuel| mapped("trim", v, fuel, |s| s.trim().to_owned()),
    ),
    function(
        "replace",
        "the text with every occurrence of the second replaced by the third; the fourth limits how many",
        "'hello hello'.replace('he', 'we') == 'wello wello' && 'aaa'.replace('a', 'b', 2) == 'bba'",
        3..=4,
        |t| takes(t, &[Want::Text, Want::Text, Want::Text, Want::Whole], Type::Text),
        replace,
    ),
    function(
        "split",
        "the parts between the separators; the third argument limits how many",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']",
        2..=3,
        |t| takes(t, &[Want::Text, Want::Text, Want::Whole], list(Type::Text)),
        split,
    ),
    function(
        "join",
        "the texts of a list in one, with the second argument between them",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
        1..=2,
        |t| match &t[0] {
            Type::List(item) if !matches!(**item, Type::Text | Type::Dyn | Type::Null) => {
                Err(format!("join wants texts, not {item}"))
            }
            _ => takes(t, &[Want::List, Want::Text], Type::Text),
        },
        join,
    ),
    function(
        "substring",
        "the characters from the second argument up to, without, the third, or to the end",
        "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
        2..=3,
        |t| takes(t, &[Want::Text, Want::Whole], Type::Text),
        substring,
    ),
];

/// A regular expression of bounded size; matching takes time linear in the text.
///
/// # Errors
/// E0311 for what is not one, or is too large.
pub fn pattern(source: &str) -> Result<Regex, Error> {
    if source.len() > 10_000 {
        return Err(errors::bad_argument("the regular expression is longer than 10,000 bytes"));
    }
    let built = RegexBuilder::new(source).size_limit(1 << 20).dfa_size_limit(1 << 20).nest_limit(100).build();
    built.map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => errors::bad_argument("the regular expression is too large"),
        _ => errors::bad_argument(format!("{source:?} is not a regular expression")),
    })
}

/// Whether `regex` is found in `text`; the time, which grows with both, is paid from `fuel`.
///
/// # Errors
/// E0308 when the fuel does not last.
pub fn matches(regex: &Regex, text: &str, fuel: &mut Fuel) -> Cell {
    fuel.spend((text.len() as u64 / 8 + 1).saturating_mul(1 + regex.as_str().len() as u64 / 8))?;
    Ok(Value::Bool(regex.is_match(text)))
}

fn two<'a>(function: &str, v: &'a [Value]) -> Result<(&'a str, &'a str), Error> {
    match v {
        [Value::Text(a), Value::Text(b), ..] => Ok((a, b)),
        _ => Err(unsupported(function, v)),
    }
}

fn test(name: &str, v: &[Value], fuel: &mut Fuel, holds: fn(&str, &str) -> bool) -> Cell {
    let (a, b) = two(name, v)?;
    fuel.bytes(a.len())?;
    Ok(Value::Bool(holds(a, b)))
}

/// A text from a text, at most three times as long.
fn mapped(name: &str, v: &[Value], fuel: &mut Fuel, f: fn(&str) -> String) -> Cell {
    let [Value::Text(text)] = v else { return Err(unsupported(name, v)) };
    fuel.bytes(text.len().saturating_mul(3))?;
    Ok(Value::text(f(text)))
}

/// The byte where the character at `position` begins; the end for the position after the last.
///
/// # Errors
/// E0304 outside the text.
fn byte_at(text: &str, position: i64) -> Result<usize, Error> {
    let count = || text.chars().count();
    let Ok(wanted) = usize::try_from(position) else { return Err(errors::out_of_range(position, count())) };
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.nth(wanted).ok_or_else(|| errors::out_of_range(position, count()))
}

/// How many characters stand before byte `at`.
fn position_of(text: &str, at: usize) -> Value {
    Value::Int(text[..at].chars().count() as i64)
}

fn char_at(v: &[Value], fuel: &mut Fuel) -> Cell {
    let [Value::Text(text), at] = v else { return Err(unsupported("charAt", v)) };
    fuel.bytes(text.len())?;
    let at = byte_at(text, small_int("charAt", at)?)?;
    Ok(Value::text(text[at..].chars().next().map_or(String::new(), String::from)))
}

fn index_of(v: &[Value], fuel: &mut Fuel) -> Cell {
    let (text, wanted) = two("indexOf", v)?;
    fuel.bytes(text.len())?;
    let from = v.get(2).map_or(Ok(0), |from| byte_at(text, small_int("indexOf", from)?))?;
    Ok(text[from..].find(wanted).map_or(Value::Int(-1), |at| position_of(text, from + at)))
}

fn last_index_of(v: &[Value], fuel: &mut Fuel) -> Cell {
    let (text, wanted) = two("lastIndexOf", v)?;
    fuel.bytes(text.len())?;
    let last = v.get(2).map_or(Ok(text.len()), |last| byte_at(text, small_int("lastIndexOf", last)?))?;
    // An occurrence may begin at `last` and end behind it.
    let end = (last + wanted.len()).min(text.len());
    let found = (0..=end).rev().find(|&end| text.is_char_boundary(end)).and_then(|end| text[..end].rfind(wanted));
    Ok(found.map_or(Value::Int(-1), |at| position_of(text, at)))
}

fn replace(v: &[Value], fuel: &mut Fuel) -> Cell {
    let [Value::Text(text), Value::Text(from), Value::Text(to), ..] = v else { return Err(unsupported("replace", v)) };
    let limit = v.get(3).map_or(Ok(-1), |limit| small_int("replace", limit))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    fuel.bytes(text.len())?;
    let count = text.matches(&**from).take(limit).count();
    fuel.bytes(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(Value::text(text.replacen(&**from, to, limit)))
}

fn split(v: &[Value], fuel: &mut Fuel) -> Cell {
    let (text, separator) = two("split", v)?;
    let limit = v.get(2).map_or(Ok(-1), |limit| small_int("split", limit))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    fuel.bytes(text.len())?;
    let parts = |text: &str| if separator.is_empty() { text.chars().count() } else { text.matches(separator).count() + 1 };
    fuel.elements(parts(text).min(limit))?;
    if separator.is_empty() {
        let at = text.char_indices().map(|(at, _)| at).nth(limit.saturating_sub(1)).unwrap_or(text.len());
        let (single, rest) = if limit == 0 { ("", "") } else { text.split_at(at) };
        let singles = single.chars().map(|c| Value::text(c.to_string()));
        return Ok(Value::list(singles.chain((!rest.is_empty()).then(|| Value::text(rest)))));
    }
    Ok(Value::list(text.splitn(limit, separator).map(Value::text)))
}

fn join(v: &[Value], fuel: &mut Fuel) -> Cell {
    let (items, separator) = match v {
        [Value::List(items)] => (items, ""),
        [Value::List(items), Value::Text(separator)] => (items, &**separator),
        _ => return Err(unsupported("join", v)),
    };
    let mut joined = String::new();
    for (i, item) in items.iter().enumerate() {
        let Value::Text(text) = item else { return Err(unsupported("join", std::slice::from_ref(item))) };
        fuel.bytes(text.len() + separator.len())?;
        joined.push_str(if i == 0 { "" } else { separator });
        joined.push_str(text);
    }
    Ok(Value::text(joined))
}

fn substring(v: &[Value], fuel: &mut Fuel) -> Cell {
    let Value::Text(text) = &v[0] else { return Err(unsupported("substring", v)) };
    fuel.bytes(text.len())?;
    let from = byte_at(text, small_int("substring", &v[1])?)?;
    let to = v.get(2).map_or(Ok(text.len()), |to| byte_at(text, small_int("substring", to)?))?;
    text.get(from..to).map(Value::text).ok_or_else(|| errors::bad_argument("substring: the end is before the start"))
}
