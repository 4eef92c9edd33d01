//! Aggregates: what they become, and the arguments that they do not take.

use expect_test::expect;

use super::{becomes, refused};

#[test]
fn aggregates_of_several_arguments_become_one_node_or_a_list_function() {
    becomes(
        "last(items[*].price, 3) == [] || items[*].gift.all()",
        expect![[r#"
        last(each 7: price, 3) == [] || all(each 7: gift)
          bool
    "#]],
    );
    becomes(
        "top(items[*].sku, 2, items[*].price).size() + count_distinct(items[*].price)",
        expect![[r#"
        size(top(each 7: sku, 2, price)) + count_distinct(each 7: price)
          int
    "#]],
    );
    becomes(
        "corr(items[*].parts[*].weight, items[*].qty) + quantile(items[*].price, 0.95)",
        expect![[r#"
        corr(each 8: weight, qty) + quantile(each 7: price, 0.95)
          double
    "#]],
    );
    becomes(
        "window_avg(lines[*].price, 30, lines[*].at) + first(lines[*].price)",
        expect![[r#"
        window_avg(lines.map(e, e.price), 30, lines.map(e, e.at)) + first(lines.map(e, e.price != null, e.price))
          dyn
    "#]],
    );
    becomes(
        "string_agg(tags[*], ', ')",
        expect![[r#"
        string_agg(tags, ', ')
          text
    "#]],
    );
    becomes(
        "median(payments[*].amount)",
        expect![[r#"
        median(each 9: amount)
          decimal(76,6)
    "#]],
    );
}

#[test]
fn arguments_that_an_aggregate_does_not_take_are_refused() {
    refused(
        "top(items[*].price, 2)",
        expect![[r#"
        E0208: the aggregate `top` is written `top(value, n, by)`
          at «top»: `items[*]` is many values
    "#]],
    );
    refused(
        "window_avg(items[*].price, priority)",
        expect![[r#"
        E0217: `priority` is not a parameter of `window_avg`
          at «priority»: how many must be an int from 1 to 1000000
          help: write `window_avg(value, n[, by])`, with a literal
    "#]],
    );
    refused(
        "last(items[*].price, 0)",
        expect![[r#"
        E0217: `0` is not a parameter of `last`
          at «0»: how many must be an int from 1 to 1000000
          help: write `last(value[, n][, by])`, with a literal
    "#]],
    );
    refused(
        "quantile(items[*].price, 95)",
        expect![[r#"
        E0217: `95` is not a parameter of `quantile`
          at «95»: the share must be a number from 0 to 1, of at most 18 digits
          help: write `quantile(value, share)`, with a literal
    "#]],
    );
    refused(
        "any(items[*].qty) && corr(items[*].qty, items[*].sku) > 0",
        expect![[r#"
        E0216: `any` cannot aggregate int
          at «any»: int is neither true nor false
          help: compare it: `any(items[*].qty != null)`
        E0216: `corr` cannot aggregate text
          at «corr»: text has no variance
          help: convert it: `corr(decimal(items[*].sku))`
    "#]],
    );
    refused(
        "string_agg(items[*].qty, ',')",
        expect![[r#"
        E0216: `string_agg` cannot aggregate int
          at «string_agg»: int is not text
          help: convert it: `string(items[*].qty)`
    "#]],
    );
    refused(
        "last(items[*].price, items[*].tags)",
        expect![[r#"
        E0216: `last` cannot order rows by list(text)
          at «items[*].tags»: list(text) has no order
          help: name a number, a text or a time of each row
    "#]],
    );
    refused(
        "last(items[*].price, payments[*].amount)",
        expect![[r#"
        E0209: one aggregate follows both `items[*]` and `payments[*]`
          at «payments[*]»: another relation
          help: aggregate each on its own: `last(items[*]…) * last(payments[*]…)`
    "#]],
    );
}
