//! `data/cel.txt`: parse → check → evaluate, and compare.

use thalweg_formulas::check::{Bindings, check};
use thalweg_formulas::eval::Program;
use thalweg_formulas::{Code, Value, parse};

/// The value of an expression without inputs, or the first error on the way.
fn outcome(text: &str) -> Result<Value, Code> {
    let ast = parse(text).map_err(|problems| problems[0].code)?;
    let expr = check(&ast, &Bindings::default()).map_err(|problems| problems[0].code)?;
    Program::compile(&expr).eval(&|_| Ok(Value::Null)).map_err(|error| error.code)
}

/// `E0302` as a code.
fn as_code(text: &str) -> Option<Code> {
    let digits = text.strip_prefix('E').filter(|digits| digits.len() == 4)?;
    digits.parse().ok().map(Code)
}

#[test]
fn expressions_mean_what_cel_says() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for line in include_str!("../data/cel.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (text, expected) = line.split_once(" => ").expect(line);
        let expected = as_code(expected).map_or_else(|| outcome(expected), Err);
        let actual = outcome(text);
        if actual != expected {
            wrong.push(format!("{text}\n  expected {expected:?}\n  found    {actual:?}"));
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 150, "{cases}");
}
