//! Expressions of the subset, from a list of choices; the shorter the list and the smaller its numbers, the simpler they are.

use super::row::{Item, NAMES, Ty};

/// How tightly an expression is bound, loosest first. It is written in parentheses only where it must be, so that both
/// parsers must agree on precedence too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ternary,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Unary,
    Member,
}

/// A piece of text and what binds it.
struct Piece(Level, String);

impl Piece {
    /// The text where at least `level` is wanted.
    fn at(self, level: Level) -> String {
        if self.0 < level { format!("({})", self.1) } else { self.1 }
    }
}

/// The expression that `choices` spell.
pub fn write(choices: &[u16]) -> String {
    let mut writer = Writer { choices: choices.iter(), variables: Vec::new() };
    let ty = writer.any_type();
    writer.expr(ty, 5).1
}

struct Writer<'a> {
    choices: std::slice::Iter<'a, u16>,
    /// The variables of the macros around, innermost last.
    variables: Vec<(&'static str, Ty)>,
}

impl Writer<'_> {
    /// A number below `n`; 0 when the choices have run out.
    fn choose(&mut self, n: usize) -> usize {
        self.choices.next().map_or(0, |choice| usize::from(*choice) % n)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.choose(from.len())]
    }

    fn item(&mut self) -> Item {
        self.pick(&Item::ALL)
    }

    fn any_type(&mut self) -> Ty {
        match self.choose(12) {
            0..=3 => Ty::Bool,
            4 | 5 => Ty::Int,
            6 => Ty::Text,
            7 => Ty::Double,
            8 => Ty::Uint,
            9 => Ty::Bytes,
            10 => Ty::List(self.item()),
            _ => Ty::Map(self.item()),
        }
    }

    fn expr(&mut self, ty: Ty, depth: u32) -> Piece {
        if depth == 0 || self.choices.len() == 0 || self.choose(6) == 0 {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        if self.choose(10) == 9 {
            return self.ternary(ty, depth);
        }
        match ty {
            Ty::Bool => self.bool(depth),
            Ty::Int => self.int(depth),
            Ty::Uint => self.uint(depth),
            Ty::Double => self.double(depth),
            Ty::Text => self.text(depth),
            Ty::Bytes => self.bytes(depth),
            Ty::List(item) => self.list(item, depth),
            Ty::Map(item) => self.map(item, depth),
        }
    }

    /// A name or a literal.
    fn leaf(&mut self, ty: Ty) -> Piece {
        let mut names: Vec<&str> = Vec::new();
        for (name, bound) in NAMES.iter().chain(&self.variables) {
            names.retain(|known| known != name); // The innermost meaning counts.
            if *bound == ty {
                names.push(name);
            }
        }
        if !names.is_empty() && self.choose(3) > 0 {
            return Piece(Level::Member, self.pick(&names).to_owned());
        }
        self.literal(ty)
    }

    fn literal(&mut self, ty: Ty) -> Piece {
        let literal = match ty {
            Ty::Bool => self.pick(&["true", "false"]),
            Ty::Int => {
                self.pick(&["0", "1", "2", "3", "7", "10", "-1", "-3", "0x1F", "9223372036854775807", "-9223372036854775808"])
            }
            Ty::Uint => self.pick(&["0u", "1u", "2u", "5u", "0xFFu", "18446744073709551615u"]),
            Ty::Double => self.pick(&[
                "0.0",
                "1.0",
                "2.5",
                "-1.5",
                "1e3",
                ".25",
                "-0.0",
                "9223372036854775807.0",
                "-9223372036854775808.0",
                "1e19",
            ]),
            Ty::Text => {
                self.pick(&["''", "'a'", "\"b\"", "'aB'", "r'\\d'", "'\\u00fc'", "'\\n x '", "'''it's'''", "'1'", "'🐱'"])
            }
            Ty::Bytes => self.pick(&["b''", "b'a'", "b'\\xc3\\xbc'", "b'ü'", "b'\\000'", "b\"ab\""]),
            Ty::List(item) => return self.list_of(item, 0),
            Ty::Map(item) => return self.map_of(item, 0),
        };
        Piece(if literal.starts_with('-') { Level::Unary } else { Level::Member }, literal.to_owned())
    }

    fn ternary(&mut self, ty: Ty, depth: u32) -> Piece {
        let condition = self.expr(Ty::Bool, depth).at(Level::Or);
        let (then, otherwise) = (self.expr(ty, depth).at(Level::Or), self.expr(ty, depth).1);
        Piece(Level::Ternary, format!("{condition} ? {then} : {otherwise}"))
    }

    /// `a op b`, to be read from the left.
    fn infix(&mut self, level: Level, ty: Ty, op: &str, depth: u32) -> Piece {
        let tighter = if level == Level::Sum { Level::Product } else { Level::Unary };
        let (left, right) = (self.expr(ty, depth).at(level), self.expr(ty, depth).at(tighter));
        Piece(level, format!("{left} {op} {right}"))
    }

    /// `receiver.call`.
    fn member(&mut self, receiver: Ty, depth: u32, call: impl FnOnce(&mut Self) -> String) -> Piece {
        let receiver = self.expr(receiver, depth).at(Level::Member);
        Piece(Level::Member, format!("{receiver}.{}", call(self)))
    }

    fn call(&mut self, function: &str, argument: Ty, depth: u32) -> Piece {
        Piece(Level::Member, format!("{function}({})", self.expr(argument, depth).1))
    }

    /// `container[index]`, from a list or a map of `item`.
    fn element(&mut self, item: Item, depth: u32) -> Piece {
        if self.choose(2) == 0 {
            let list = self.expr(Ty::List(item), depth).at(Level::Member);
            Piece(Level::Member, format!("{list}[{}]", self.expr(Ty::Int, depth).1))
        } else {
            let map = self.expr(Ty::Map(item), depth).at(Level::Member);
            let index = match self.choose(3) {
                0 => format!("[{}]", self.leaf(Ty::Text).1),
                _ => self.pick(&["['a']", "['k']", ".b", ".zz"]).to_owned(),
            };
            Piece(Level::Member, format!("{map}{index}"))
        }
    }

    fn bool(&mut self, depth: u32) -> Piece {
        match self.choose(12) {
            0 | 1 => self.relation(depth),
            2 => {
                let (left, right) = (self.expr(Ty::Bool, depth).at(Level::And), self.expr(Ty::Bool, depth).at(Level::Relation));
                Piece(Level::And, format!("{left} && {right}"))
            }
            3 => {
                let (left, right) = (self.expr(Ty::Bool, depth).at(Level::Or), self.expr(Ty::Bool, depth).at(Level::And));
                Piece(Level::Or, format!("{left} || {right}"))
            }
            4 => Piece(Level::Unary, format!("{}{}", self.pick(&["!", "!!"]), self.expr(Ty::Bool, depth).at(Level::Member))),
            5 => {
                let name = self.pick(&["contains", "startsWith", "endsWith"]);
                self.member(Ty::Text, depth, |w| format!("{name}({})", w.expr(Ty::Text, depth).1))
            }
            6 => {
                let pattern = self.pick(&["'a'", "'^a'", "'[a-b]+$'", "r'\\d{1,2}'", "'(?i)B'", "'.'", "'^$'", "'('", "r'\\bü'"]);
                self.member(Ty::Text, depth, |_| format!("matches({pattern})"))
            }
            7 | 8 => self.quantifier(depth),
            9 => {
                let item = self.item();
                let needle = self.expr(item.one(), depth).at(Level::Relation);
                Piece(Level::Relation, format!("{needle} in {}", self.expr(Ty::List(item), depth).at(Level::Sum)))
            }
            10 => {
                let item = self.item();
                let map = self.expr(Ty::Map(item), depth);
                match self.choose(2) {
                    0 => Piece(Level::Member, format!("has({}.a)", map.at(Level::Member))),
                    _ => Piece(
                        Level::Relation,
                        format!("{} in {}", self.expr(Ty::Text, depth).at(Level::Relation), map.at(Level::Sum)),
                    ),
                }
            }
            _ => self.element(Item::Bool, depth),
        }
    }

    fn relation(&mut self, depth: u32) -> Piece {
        let (left, op, right) = match self.choose(6) {
            0 => {
                let ty = self.any_type();
                (self.expr(ty, depth), self.pick(&["==", "!="]), self.expr(ty, depth))
            }
            1 => self.between_kinds(depth),
            2 => {
                // Of values whose types only the row tells.
                const TYPES: [Ty; 7] =
                    [Ty::Int, Ty::Text, Ty::Uint, Ty::Bool, Ty::Bytes, Ty::List(Item::Int), Ty::Map(Item::Text)];
                let (left, right) = (self.pick(&TYPES), self.pick(&TYPES));
                (self.call("dyn", left, depth), self.pick(&["==", "!="]), self.call("dyn", right, depth))
            }
            3 => {
                let (ty, name) =
                    (self.any_type(), self.pick(&["int", "uint", "double", "string", "bytes", "bool", "list", "map"]));
                (self.call("type", ty, depth), self.pick(&["==", "!="]), Piece(Level::Member, name.to_owned()))
            }
            _ => {
                let ty = self.pick(&[Ty::Int, Ty::Text, Ty::Double, Ty::Uint, Ty::Bool, Ty::Bytes]);
                (self.expr(ty, depth), self.pick(&["<", "<=", ">", ">="]), self.expr(ty, depth))
            }
        };
        Piece(Level::Relation, format!("{} {op} {}", left.at(Level::Relation), right.at(Level::Sum)))
    }

    /// A comparison between kinds of numbers. Doubles only where no int is near that they cannot hold: comparisons are exact
    /// (`INTERFACES`, "Mixed arithmetic"), as CEL's one number line asks, while the crate rounds the int.
    fn between_kinds(&mut self, depth: u32) -> (Piece, &'static str, Piece) {
        let op = self.pick(&["==", "!=", "<", "<=", ">", ">="]);
        let whole = self.pick(&[Ty::Int, Ty::Uint]);
        let whole = self.expr(whole, depth);
        let other = match self.choose(3) {
            0 => Piece(Level::Member, self.pick(&["x", "0.0", "1.0", "2.5", "7.0"]).to_owned()),
            1 => self.expr(Ty::Uint, depth),
            _ => self.expr(Ty::Int, depth),
        };
        if self.choose(2) == 0 { (whole, op, other) } else { (other, op, whole) }
    }

    /// A variable's name, now and then one that hides a binding, for the text that `body` writes.
    fn with_variable(&mut self, ty: Ty, body: impl FnOnce(&mut Self, &str) -> String) -> String {
        let name = self.pick(&["e", "f", "i", "s"]);
        self.variables.push((name, ty));
        let text = body(self, name);
        self.variables.pop();
        text
    }

    fn quantifier(&mut self, depth: u32) -> Piece {
        let name = self.pick(&["all", "exists", "exists_one"]);
        let item = self.item();
        let (range, variable) = if self.choose(3) == 2 { (Ty::Map(item), Ty::Text) } else { (Ty::List(item), item.one()) };
        self.member(range, depth, |w| w.with_variable(variable, |w, e| format!("{name}({e}, {})", w.expr(Ty::Bool, depth).1)))
    }

    fn int(&mut self, depth: u32) -> Piece {
        match self.choose(12) {
            0 => self.infix(Level::Sum, Ty::Int, "+", depth),
            1 => self.infix(Level::Sum, Ty::Int, "-", depth),
            2 => self.infix(Level::Product, Ty::Int, "*", depth),
            3 => self.infix(Level::Product, Ty::Int, "/", depth),
            4 => {
                // Not by -1: the least int leaves 0, which is an int (CEL's "Overflow"); the crate calls it an overflow.
                let left = self.expr(Ty::Int, depth).at(Level::Product);
                Piece(Level::Product, format!("{left} % {}", self.pick(&["2", "3", "10", "0", "(-3)", "9223372036854775807"])))
            }
            // Not `--`, which the crate's parser takes away, and with it the overflow of the least int.
            5 => Piece(Level::Unary, format!("-{}", self.expr(Ty::Int, depth).at(Level::Member))),
            6 => {
                let item = self.item();
                let sized = self.pick(&[Ty::Text, Ty::List(item), Ty::Map(item), Ty::Bytes]);
                if self.choose(2) == 0 {
                    self.call("size", sized, depth)
                } else {
                    self.member(sized, depth, |_| "size()".to_owned())
                }
            }
            7 => self.position(depth),
            8 => {
                let from = self.pick(&[Ty::Double, Ty::Uint, Ty::Text, Ty::Int]);
                self.call("int", from, depth)
            }
            9 => {
                let name = self.pick(&["math.least", "math.greatest"]);
                Piece(Level::Member, format!("{name}({}, {})", self.expr(Ty::Int, depth).1, self.expr(Ty::Int, depth).1))
            }
            _ => self.element(Item::Int, depth),
        }
    }

    /// From an offset only inside the text: what is said about one behind it differs among CEL's own implementations (the crate
    /// refuses, cel-go finds nothing, the conformance suite refuses far ones). Here they are 0 to the size, as for `charAt`.
    fn position(&mut self, depth: u32) -> Piece {
        let name = self.pick(&["indexOf", "lastIndexOf"]);
        let (text, wanted) = (self.expr(Ty::Text, depth), self.expr(Ty::Text, depth).1);
        let call = match self.choose(3) {
            0 => format!("{}.{name}({wanted})", text.at(Level::Member)),
            1 => format!("({} + '-abü').{name}({wanted}, {})", text.at(Level::Sum), self.pick(&["0", "1", "2", "3"])),
            _ => format!("{}.{name}({wanted}, -1)", text.at(Level::Member)),
        };
        Piece(Level::Member, call)
    }

    fn uint(&mut self, depth: u32) -> Piece {
        match self.choose(6) {
            0 => self.infix(Level::Sum, Ty::Uint, "+", depth),
            1 => self.infix(Level::Sum, Ty::Uint, "-", depth),
            2 => self.infix(Level::Product, Ty::Uint, "*", depth),
            3 => self.infix(Level::Product, Ty::Uint, "/", depth),
            4 => self.infix(Level::Product, Ty::Uint, "%", depth),
            _ => {
                let from = self.pick(&[Ty::Int, Ty::Double, Ty::Text, Ty::Uint]);
                self.call("uint", from, depth)
            }
        }
    }

    /// Doubles stay far from infinity: a product has a small literal on one side, a quotient below it.
    fn double(&mut self, depth: u32) -> Piece {
        match self.choose(7) {
            0 => self.infix(Level::Sum, Ty::Double, "+", depth),
            1 => self.infix(Level::Sum, Ty::Double, "-", depth),
            2 => {
                let left = self.expr(Ty::Double, depth).at(Level::Product);
                let by = self.pick(&["* 2.5", "* 0.0", "/ 4.0", "/ 3.0", "* x"]);
                Piece(Level::Product, format!("{left} {by}"))
            }
            3 => Piece(Level::Unary, format!("{}{}", self.pick(&["-", "--"]), self.expr(Ty::Double, depth).at(Level::Member))),
            4 => {
                let from = self.pick(&[Ty::Int, Ty::Uint, Ty::Text, Ty::Double]);
                self.call("double", from, depth)
            }
            _ => self.element(Item::Double, depth),
        }
    }

    fn text(&mut self, depth: u32) -> Piece {
        match self.choose(12) {
            0 => self.infix(Level::Sum, Ty::Text, "+", depth),
            1 => self.member(Ty::Text, depth, |w| format!("charAt({})", w.expr(Ty::Int, depth).1)),
            2 => {
                let name = self.pick(&["lowerAscii()", "upperAscii()", "trim()", "reverse()"]);
                self.member(Ty::Text, depth, |_| name.to_owned())
            }
            3 => self.member(Ty::Text, depth, |w| {
                let (from, to) = (w.expr(Ty::Text, depth).1, w.expr(Ty::Text, depth).1);
                if w.choose(2) == 0 {
                    format!("replace({from}, {to})")
                } else {
                    format!("replace({from}, {to}, {})", w.expr(Ty::Int, 0).1)
                }
            }),
            4 => self.member(Ty::Text, depth, |w| format!("substring({})", w.expr(Ty::Int, depth).1)),
            5 => {
                self.member(Ty::Text, depth, |w| format!("substring({}, {})", w.expr(Ty::Int, depth).1, w.expr(Ty::Int, depth).1))
            }
            6 => self.member(Ty::List(Item::Text), depth, |w| {
                if w.choose(2) == 0 { "join()".to_owned() } else { format!("join({})", w.expr(Ty::Text, depth).1) }
            }),
            7 | 8 => {
                let from = self.pick(&[Ty::Int, Ty::Uint, Ty::Bool, Ty::Bytes, Ty::Text]);
                self.call("string", from, depth)
            }
            _ => self.element(Item::Text, depth),
        }
    }

    fn bytes(&mut self, depth: u32) -> Piece {
        match self.choose(2) {
            0 => self.infix(Level::Sum, Ty::Bytes, "+", depth),
            _ => self.call("bytes", Ty::Text, depth),
        }
    }

    fn list(&mut self, item: Item, depth: u32) -> Piece {
        match self.choose(9) {
            0 | 1 => self.list_of(item, depth),
            2 => self.infix(Level::Sum, Ty::List(item), "+", depth),
            3 => self.member(Ty::List(item), depth, |w| {
                w.with_variable(item.one(), |w, e| format!("filter({e}, {})", w.expr(Ty::Bool, depth).1))
            }),
            4 | 5 => {
                let from = self.item();
                self.member(Ty::List(from), depth, |w| {
                    w.with_variable(from.one(), |w, e| {
                        let only = if w.choose(2) == 0 { String::new() } else { format!("{}, ", w.expr(Ty::Bool, depth).1) };
                        format!("map({e}, {only}{})", w.expr(item.one(), depth).1)
                    })
                })
            }
            6 => {
                let name = self.pick(&["reverse()", "distinct()", "sort()"]);
                self.member(Ty::List(item), depth, |_| name.to_owned())
            }
            7 => self.member(Ty::List(item), depth, |w| format!("slice({}, {})", w.expr(Ty::Int, 1).1, w.expr(Ty::Int, 1).1)),
            _ if item == Item::Text => self.member(Ty::Text, depth, |w| {
                let by = w.expr(Ty::Text, depth).1;
                if w.choose(2) == 0 { format!("split({by})") } else { format!("split({by}, {})", w.expr(Ty::Int, 0).1) }
            }),
            _ => self.list_of(item, depth),
        }
    }

    fn list_of(&mut self, item: Item, depth: u32) -> Piece {
        let items: Vec<_> = (0..self.choose(4)).map(|_| self.expr(item.one(), depth).1).collect();
        Piece(Level::Member, format!("[{}]", items.join(", ")))
    }

    /// Maps are not made from maps: CEL leaves open in which order `map` and `filter` meet their keys.
    fn map(&mut self, item: Item, depth: u32) -> Piece {
        self.map_of(item, depth)
    }

    fn map_of(&mut self, item: Item, depth: u32) -> Piece {
        let entries: Vec<_> = (0..self.choose(4))
            .map(|_| {
                let key = if self.choose(5) == 4 {
                    self.leaf(Ty::Text).1
                } else {
                    self.pick(&["'a'", "'b'", "'k'", "'zz'"]).to_owned()
                };
                format!("{key}: {}", self.expr(item.one(), depth).1)
            })
            .collect();
        Piece(Level::Member, format!("{{{}}}", entries.join(", ")))
    }
}
