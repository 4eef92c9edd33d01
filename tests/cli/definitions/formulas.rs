//! Formulas that cannot be read, and types in them that do not go together.

use expect_test::expect;

use super::shop;
use crate::cli::harness::check;

#[test]
fn a_formula_that_cannot_be_read_is_refused() {
    check(
        &[
            (
                "it ends too soon",
                &shop(
                    r#"
[fields]
"Order.total" = "price *"
"#,
                ),
            ),
            (
                "an unclosed bracket",
                &shop(
                    r#"
[fields]
"Order.total" = "(price * qty"
"#,
                ),
            ),
            (
                "an unclosed text",
                &shop(
                    r#"
[fields]
"Order.total" = "status == 'open"
"#,
                ),
            ),
            (
                "one equals sign",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "status = 'open'"
"#,
                ),
            ),
            (
                "a stray character",
                &shop(
                    r#"
[fields]
"Order.total" = "price # qty"
"#,
                ),
            ),
        ],
        expect![[r#"
            === it ends too soon
            exit 3
            --- stderr
            error[E0102]: the formula ends where a value is expected
              --> t.toml:21:24
               |
            21 | "Order.total" = "price *"
               |                        ^ nothing follows `*`
               |
               = help: write the value, or remove this

            t.toml: 1 error
            === an unclosed bracket
            exit 3
            --- stderr
            error[E0103]: unclosed `(`
              --> t.toml:21:18
               |
            21 | "Order.total" = "(price * qty"
               |                  ^ this bracket is never closed
               |
               = help: add `)`

            t.toml: 1 error
            === an unclosed text
            exit 3
            --- stderr
            error[E0101]: unclosed text
              --> t.toml:21:28
               |
            21 | "Order.total" = "status == 'open"
               |                            ^ this quote is never closed
               |
               = help: close the text with '; only a text in three quotes goes on over the end of its line

            t.toml: 1 error
            === one equals sign
            exit 3
            --- stderr
            error[E0104]: `=` is not an operator of this language
              --> t.toml:23:16
               |
            23 | when = "status = 'open'"
               |                ^ a comparison is written `==`
               |
               = help: write `==`

            t.toml: 1 error
            === a stray character
            exit 3
            --- stderr
            error[E0106]: unexpected character `#`
              --> t.toml:21:24
               |
            21 | "Order.total" = "price # qty"
               |                        ^ no token begins with this
               |
               = help: a comment begins with `//`

            t.toml: 1 error
        "#]],
    );
}

#[test]
fn types_that_do_not_go_together_are_refused() {
    check(
        &[
            (
                "text with a number",
                &shop(
                    r#"
[fields]
"Order.total" = "status + qty"
"#,
                ),
            ),
            (
                "a condition that is no condition",
                &shop(
                    r#"
[[effect]]
name = "a"
on = "Order"
when = "qty + 1"
"#,
                ),
            ),
            (
                "a sum of texts",
                &shop(
                    r#"
[fields]
"Order.total" = "sum(items[*].id) + status"
"#,
                ),
            ),
            (
                "the number of arguments",
                &shop(
                    r#"
[fields]
"Order.total" = "size()"
"#,
                ),
            ),
            (
                "children outside an aggregate",
                &shop(
                    r#"
[fields]
"Order.total" = "items[*].price"
"#,
                ),
            ),
            (
                "branches",
                &shop(
                    r#"
[fields]
"Order.total" = "qty > 1 ? 'many' : 1"
"#,
                ),
            ),
        ],
        expect![[r#"
            === text with a number
            exit 3
            --- stderr
            error[E0206]: `+` cannot take text and int
              --> t.toml:21:25
               |
            21 | "Order.total" = "status + qty"
               |                         ^ text + int has no meaning
               |
               = help: write `status + string(qty)`

            t.toml: 1 error
            === a condition that is no condition
            exit 3
            --- stderr
            error[E0240]: the condition of effect `a` is int, not bool
              --> t.toml:23:9
               |
            23 | when = "qty + 1"
               |         ^^^^^^^
               |
               = help: compare it with something

            t.toml: 1 error
            === a sum of texts
            exit 3
            --- stderr
            error[E0206]: `+` cannot take int and text
              --> t.toml:21:35
               |
            21 | "Order.total" = "sum(items[*].id) + status"
               |                                   ^ int + text has no meaning
               |
               = help: write `string(sum(items[*].id)) + status`

            t.toml: 1 error
            === the number of arguments
            exit 3
            --- stderr
            error[E0205]: `size` takes 1 argument, and 0 are given
              --> t.toml:21:18
               |
            21 | "Order.total" = "size()"
               |                  ^^^^ called with 0
               |
               = note: `size`: how many characters, bytes, elements or entries

            t.toml: 1 error
            === children outside an aggregate
            exit 3
            --- stderr
            error[E0208]: the pattern `items[*]` stands outside an aggregate
              --> t.toml:21:18
               |
            21 | "Order.total" = "items[*].price"
               |                  ^^^^^^^^ this is many values
               |
               = help: aggregate it: `sum(items[*]…)`, or count, avg, min, max

            t.toml: 1 error
            === branches
            exit 3
            --- stderr
            error[E0212]: the branches of `? :` have different types: text and int
              --> t.toml:21:26
               |
            21 | "Order.total" = "qty > 1 ? 'many' : 1"
               |                          ^ a field has one type
               |
               = help: convert the other one with string(), or take null for no value

            t.toml: 1 error
        "#]],
    );
}
