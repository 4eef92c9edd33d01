//! Records, patterns and macros out of place, each with its cure.

use expect_test::expect;

use super::refused;

#[test]
fn misplaced_records_patterns_and_macros_are_refused_with_a_cure() {
    refused(
        "customer == null",
        expect![[r#"
        E0210: `customer` is a record, not a value
          at «customer»: a value is needed here
          help: name one of its fields: `customer.region`
          note: fields: region, limit
    "#]],
    );
    refused(
        "items",
        expect![[r#"
        E0210: `items` is child rows, not a value
          at «items»: a value is needed here
          help: aggregate them: `count(items[*])`, or sum, avg, min, max of a column: `max(items[*].price)`
    "#]],
    );
    refused(
        "items.price",
        expect![[r#"
        E0210: `items` is child rows, so `items.price` is not one value
          at «price»: of which row?
          help: aggregate over all of them: `sum(items[*].price)`, or count, avg, min, max
    "#]],
    );
    refused(
        "items[0]",
        expect![[r#"
        E0210: `items` is child rows, not a value
          at «items»: a value is needed here
          help: aggregate them: `count(items[*])`, or sum, avg, min, max of a column: `max(items[*].price)`
    "#]],
    );
    refused(
        "items[*].price + 1",
        expect![[r#"
        E0208: the pattern `items[*]` stands outside an aggregate
          at «items[*]»: this is many values
          help: aggregate it: `sum(items[*]…)`, or count, avg, min, max
    "#]],
    );
    refused(
        "size(items[*])",
        expect![[r#"
        E0208: the pattern `items[*]` stands outside an aggregate
          at «items[*]»: this is many values
          help: aggregate it: `sum(items[*]…)`, or count, avg, min, max
    "#]],
    );
    refused(
        "customer[*].region",
        expect![[r#"
        E0208: `customer` is one record, so it has no elements for `[*]`
          at «customer»: this is one record
          help: write `customer.…` without `[*]`
    "#]],
    );
    refused(
        "sum(customer[*].limit)",
        expect![[r#"
        E0208: `customer` is one record, so it has no elements for `[*]`
          at «customer»: this is one record
          help: write `customer.…` without `[*]`
    "#]],
    );
    refused(
        "sum(priority[*])",
        expect![[r#"
        E0208: `[*]` needs child rows or a list, and `priority` is int
          at «priority»: this is int
    "#]],
    );
    refused(
        "sum(items[*])",
        expect![[r#"
        E0208: `sum` needs a value of each row, and `items[*]` is the rows
          at «items[*]»: these are rows
          help: name a column: `sum(items[*].price)`, or count them: `count(items[*])`
          note: columns: price, qty, sku, gift, tags, parts
    "#]],
    );
    refused(
        "sum(items[*].price * payments[*].amount)",
        expect![[r#"
        E0209: one aggregate follows both `items[*]` and `payments[*]`
          at «payments[*]»: another relation
          help: aggregate each on its own: `sum(items[*]…) * sum(payments[*]…)`
    "#]],
    );
    refused(
        "sum(items[*].sku) + max(items[*].tags) + sum(items[*].gift)",
        expect![[r#"
        E0216: `sum` cannot aggregate text
          at «sum»: text has no sum
          help: convert it: `sum(decimal(items[*].sku))`
        E0216: `max` cannot aggregate list(text)
          at «max»: list(text) has no order
        E0216: `sum` cannot aggregate bool
          at «sum»: bool has no sum
          help: count what is true: `sum(items[*].gift ? 1 : 0)`
    "#]],
    );
    refused(
        "max(items[*].price, 0)",
        expect![[r#"
        E0208: the aggregate `max` takes one argument, which holds its patterns
          at «max»: `items[*]` is many values
          help: aggregate first, then go on with the value: `max(max(items[*]…), other)`
    "#]],
    );
    refused(
        "sum(items[*].parts)",
        expect![[r#"
        E0210: `items[*].parts` is child rows, not a value
          at «items[*].parts»: a value is needed here
          help: aggregate them: `count(items[*].parts[*])`, or sum, avg, min, max of a column: `max(items[*].parts[*].weight)`
    "#]],
    );
    refused(
        "sum(items[*].tags[*])",
        expect![[r#"
        E0208: `items[*].tags` is a list, and this aggregate follows child rows
          at «items[*].tags[*]»: a list has no rows
          help: make a field of `sum(items[*].tags[*]…)` on the type that holds the list, and aggregate that field
    "#]],
    );
    refused(
        "sum(lines[*].parts[*].weight)",
        expect![[r#"
        E0208: the pattern `lines[*].parts[*]` goes through a list inside a list
          at «lines[*].parts[*]»: a pattern follows one list
          help: aggregate the inner list in a macro: `sum(outer.map(x, sum(x.inner[*].price)))`
    "#]],
    );
    refused(
        "sum(lines[*].price * tags[*].size())",
        expect![[r#"
        E0209: `tags[*]` is not the list that the first pattern of this aggregate follows
          at «tags[*]»: another list
          help: aggregate each on its own
    "#]],
    );
    refused(
        "tags.map(t, sum(items[*].qty * t.size()))",
        expect![[r#"
        E0208: an aggregate over child rows cannot read the variable of a macro
          at «sum(items[*].qty * t.size())»: this is kept up to date once for the document, not for every element
          help: aggregate first, and use the variable outside the aggregate
    "#]],
    );
    refused(
        "items.exists(i, i.price > 3)",
        expect![[r#"
        E0211: `exists` goes over a list, and `items` is child rows
          at «items»: these are rows of another table
          help: write `max(items[*].field > 0)` or `sum(items[*].field > 0 ? 1 : 0) > 0`
    "#]],
    );
    refused(
        "has(status)",
        expect![[r#"
        E0211: `has` asks whether a map holds a member, and `has(status)` names none
          at «status»: not a member
          help: write `has(record.member)`; whether a value is there at all is `x != null`
    "#]],
    );
    refused(
        "tags.all(t.x, true)",
        expect![[r#"
        E0211: the first argument of `all` is the name for each element
          at «t.x»: not a plain name
          help: write `list.all(x, …)`
    "#]],
    );
    refused(
        "tags.exists(t)",
        expect![[r#"
        E0211: the macro `exists` does not take 1 argument
          at «exists»: called with 1
          help: write `list.exists(x, condition)`
    "#]],
    );
    refused(
        "priority.map(x, x)",
        expect![[r#"
        E0211: `map` goes over a list or the keys of a map, and `priority` is int
          at «priority»: this is int
    "#]],
    );
    refused(
        "customer[status]",
        expect![[r#"
        E0210: the field of `customer` must be a constant
          at «status»: a text in quotes is needed here
          help: write `customer['name']` or `customer.name`
    "#]],
    );
}
