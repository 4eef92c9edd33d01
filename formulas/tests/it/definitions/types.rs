//! Operands and arguments whose types do not fit.

use expect_test::expect;

use super::{refused, refused_as_condition};

#[test]
fn types_that_do_not_fit_are_refused_at_the_operator() {
    refused(
        "status + priority",
        expect![[r#"
        E0206: `+` cannot take text and int
          at «+»: text + int has no meaning
          help: write `status + string(priority)`
    "#]],
    );
    refused(
        "(status == 'open') && total",
        expect![[r#"
        E0206: `&&` cannot take bool and decimal(10,2)
          at «&&»: && wants bools, not decimal(10,2)
    "#]],
    );
    refused(
        "priority == 'high'",
        expect![[r#"
        E0206: `==` cannot take int and text
          at «==»: int and text are never equal
    "#]],
    );
    refused(
        "status == 1",
        expect![[r#"
        E0206: `==` cannot take text and int
          at «==»: text and int are never equal
          help: write it as text: `'1'`
    "#]],
    );
    refused(
        "done == 1",
        expect![[r#"
        E0206: `==` cannot take bool and int
          at «==»: bool and int are never equal
          help: a bool is compared with `true` and `false`, or stands alone
    "#]],
    );
    refused(
        "0 < priority < 5",
        expect![[r#"
        E0206: `<` cannot take bool and int
          at «<»: bool and int have no order
          help: write `0 < priority && priority < 5`
    "#]],
    );
    refused(
        "created > '2024-01-01'",
        expect![[r#"
        E0206: `>` cannot take timestamp and text
          at «>»: timestamp and text have no order
          help: write `timestamp('2024-01-01')`
    "#]],
    );
    refused(
        "'urgent' in status",
        expect![[r#"
        E0206: `in` cannot take text and text
          at «in»: in looks into a list or a map, not into text
          help: for a part of a text write `status.contains('urgent')`
    "#]],
    );
    refused(
        "stock - priority",
        expect![[r#"
        E0206: `-` cannot take uint and int
          at «-»: uint - int has no meaning: convert one with int() or uint()
    "#]],
    );
    refused(
        "-status + !priority",
        expect![[r#"
        E0206: `-` cannot take text
          at «-»: - wants a number or a duration, not text
        E0206: `!` cannot take int
          at «!»: ! wants a bool, not int
    "#]],
    );
    refused(
        "done ? 'yes' : 0",
        expect![[r#"
        E0212: the branches of `? :` have different types: text and int
          at «?»: a field has one type
          help: convert the other one with string(), or take null for no value
    "#]],
    );
    refused(
        "priority ? 1 : 2",
        expect![[r#"
        E0213: a condition must be a bool, and this is int
          at «priority»: this is int
          help: compare it: `priority != 0`
    "#]],
    );
    refused(
        "priority.name",
        expect![[r#"
        E0214: int has no members
          at «name»: `priority` is int, not a record
    "#]],
    );
    refused(
        "tags.name",
        expect![[r#"
        E0214: list(text) has no members
          at «name»: `tags` is list(text), not a record
          help: aggregate over its elements: `sum(tags[*].name)`, or take one: `tags[0].name`
    "#]],
    );
    refused(
        "status[0]",
        expect![[r#"
        E0214: text cannot be indexed by int
          at «[0]»: text has no elements
          help: write `text.substring(from, to)`
    "#]],
    );
    refused(
        "status.startsWith(priority)",
        expect![[r#"
        E0207: `startsWith` cannot take text and int
          at «priority»: argument 1 must be text, not int
    "#]],
    );
    refused(
        "priority.startsWith('a')",
        expect![[r#"
        E0207: `startsWith` cannot take int and text
          at «priority»: the receiver must be text, not int
    "#]],
    );
    refused(
        "size()",
        expect![[r#"
        E0205: `size` takes 1 argument, and 0 are given
          at «size»: called with 0
          note: `size`: how many characters, bytes, elements or entries
    "#]],
    );
    refused(
        "status.contains('a', 'b')",
        expect![[r#"
        E0205: `contains` takes 1 argument besides its receiver, and 2 are given
          at «contains»: called with 2
          note: `contains`: whether the text holds the other
    "#]],
    );
    refused(
        "{total: 1}",
        expect![[r#"
        E0215: a map key cannot be decimal(10,2)
          at «total»: keys are bools, ints, uints or texts
          help: write `string(total)`
    "#]],
    );
    refused_as_condition(
        "priority",
        expect![[r#"
        E0213: a condition must be a bool, and this is int
          at «priority»: this is int
          help: compare it: `priority != 0`
    "#]],
    );
    refused_as_condition(
        "status + 'x'",
        expect![[r#"
        E0213: a condition must be a bool, and this is text
          at «status + 'x'»: this is text
          help: compare it: `(status + 'x') != ''`
    "#]],
    );
    refused_as_condition(
        "null",
        expect![[r#"
        E0213: a condition must be a bool, and this is null
          at «null»: this is null
          help: write `true` or `false`
    "#]],
    );
}
