//! Texts that mean the same.

use thalweg_formulas::check::check;
use thalweg_formulas::parse;

use super::order;

#[test]
fn equal_texts_become_equal_expressions() {
    let checked = |text: &str| check(&parse(text).unwrap(), &order()).unwrap();
    assert_eq!(checked("(total)+1"), checked("total + 1"));
    assert_eq!(checked("tags.map(a, a)"), checked("tags.map(b, b)"));
    assert_ne!(checked("total + 1"), checked("1 + total"));
}
