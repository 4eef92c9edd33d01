//! Names that nothing bears.

use expect_test::expect;

use super::refused;

#[test]
fn unknown_names_are_refused_with_the_nearest() {
    refused(
        "old.staus != status",
        expect![[r#"
        E0203: unknown field `staus`
          at «staus»: table `Order` has no column `staus`
          help: did you mean `status`?
          note: columns: status
    "#]],
    );
    refused(
        "staus == 'open' && prioritty <= 1",
        expect![[r#"
        E0203: unknown field `staus`
          at «staus»: table `Order` has no column `staus`
          help: did you mean `status`?
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
        E0203: unknown field `prioritty`
          at «prioritty»: table `Order` has no column `prioritty`
          help: did you mean `priority`?
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "customer.regoin",
        expect![[r#"
        E0203: unknown field `regoin`
          at «regoin»: table `Customer` has no field `regoin`
          help: did you mean `region`?
          note: fields: region, limit
    "#]],
    );
    refused(
        "sum(items[*].prize)",
        expect![[r#"
        E0203: unknown field `prize`
          at «prize»: table `Item` has no column `prize`
          help: did you mean `price`?
          note: columns: price, qty, sku, gift, tags, parts
    "#]],
    );
    refused(
        "xyzzy + 1",
        expect![[r#"
        E0203: unknown field `xyzzy`
          at «xyzzy»: table `Order` has no column `xyzzy`
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "NULL == status",
        expect![[r#"
        E0203: unknown field `NULL`
          at «NULL»: table `Order` has no column `NULL`
          help: write `null`
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "size > 3",
        expect![[r#"
        E0203: unknown field `size`
          at «size»: table `Order` has no column `size`
          help: `size` is a function: write `size(…)`
          note: columns: status, total, stock, priority, done, created, lines, type, tags, customer, old, items, … (13 in all)
    "#]],
    );
    refused(
        "lenght(status)",
        expect![[r#"
        E0204: unknown function `lenght`
          at «lenght»: no function is called so
    "#]],
    );
    refused(
        "status.startWith('a')",
        expect![[r#"
        E0204: unknown function `startWith`
          at «startWith»: no function is called so
          help: did you mean `startsWith`?
    "#]],
    );
    refused(
        "not(done)",
        expect![[r#"
        E0204: unknown function `not`
          at «not»: no function is called so
          help: write `!x`
    "#]],
    );
    refused(
        "len(status)",
        expect![[r#"
        E0204: unknown function `len`
          at «len»: no function is called so
          help: write `size(x)`
    "#]],
    );
    refused(
        "tags.filtr(t, t == 'x')",
        expect![[r#"
        E0204: unknown function `filtr`
          at «filtr»: no function is called so
          help: did you mean `filter`?
    "#]],
    );
}
