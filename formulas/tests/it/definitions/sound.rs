//! Sound formulas, and the typed expressions that they become.

use expect_test::expect;

use super::becomes;

#[test]
fn sound_formulas_become_typed_expressions() {
    becomes(
        "total * 2",
        expect![[r#"
        total * 2
          decimal(29,2)
    "#]],
    );
    becomes(
        "stock > 0 ? stock - 1 : 0",
        expect![[r#"
        stock > 0 ? stock - 1u : 0u
          uint
    "#]],
    );
    becomes(
        "done ? 1.5 : priority",
        expect![[r#"
        done ? 1.5 : double(priority)
          double
    "#]],
    );
    becomes(
        "done ? total : 0",
        expect![[r#"
        done ? total : decimal('0.00')
          decimal(10,2)
    "#]],
    );
    becomes(
        "type == 'decision' && priority <= 1",
        expect![[r#"
        type == 'decision' && priority <= 1
          bool
    "#]],
    );
    becomes(
        "customer['region'] + customer.region",
        expect![[r#"
        customer.region + customer.region
          text
    "#]],
    );
    becomes(
        "old['status'] != status && old != null",
        expect![[r#"
        status != status && old != null
          bool
    "#]],
    );
    becomes(
        "has(customer.region) || has(lines.a)",
        expect![[r#"
        customer.region != null || has(lines.a)
          bool
    "#]],
    );
    becomes(
        "lines[0].price + lines['x']",
        expect![[r#"
        lines[0].price + lines.x
          dyn
    "#]],
    );
    becomes(
        "sum(items[*].price * items[*].qty)",
        expect![[r#"
        sum(each 7: price * qty)
          decimal(76,2)
    "#]],
    );
    becomes(
        "count(items[*]) + count(items[*].sku)",
        expect![[r#"
        count(each 7: true) + count(each 7: sku)
          int
    "#]],
    );
    becomes(
        "items[*].price.avg() > max(items[*].price * priority)",
        expect![[r#"
        avg(each 7: price) > max(each 7: price * priority)
          bool
    "#]],
    );
    becomes(
        "sum(items[*].parts[*].weight * items[*].qty)",
        expect![[r#"
        sum(each 8: weight * qty)
          double
    "#]],
    );
    becomes(
        "sum(items[*].price / count(payments[*]))",
        expect![[r#"
        sum(each 7: price / count(each 9: true))
          decimal(76,6)
    "#]],
    );
    becomes(
        "sum(lines[*].price * lines[*].qty)",
        expect![[r#"
        sum(lines.map(e, e.price * e.qty))
          dyn
    "#]],
    );
    becomes(
        "count(tags[*])",
        expect![[r#"
        count(tags)
          int
    "#]],
    );
    becomes(
        "tags.map(t, sum(lines[*].price * t.size()))",
        expect![[r#"
        tags.map(e, sum(lines.map(e2, e2.price * size(e))))
          list(dyn)
    "#]],
    );
    becomes(
        "tags.filter(x, tags.exists(y, y == x)).map(x, x != '', x + status)",
        expect![[r#"
        tags.filter(e, tags.exists(e2, e2 == e)).map(e, e != '', e + status)
          list(text)
    "#]],
    );
    becomes(
        "items[*].gift.max()",
        expect![[r#"
        max(each 7: gift)
          bool
    "#]],
    );
    becomes(
        "-(1) - -1 + [1, 2.5][0]",
        expect![[r#"
        -(1) - -1 + [1, 2.5][0]
          dyn
    "#]],
    );
    becomes(
        "tags.map(type, type)",
        expect![[r#"
        tags.map(e, e)
          list(text)
    "#]],
    );
}
