//! What SQL calls a column's type, from the log's table map and from `information_schema`: the same from both.

use thalweg_graph::transaction::SqlType;

use super::table_map::{Column, wire};

/// The kind of geometry that is a POINT.
const POINT: u8 = 1;

/// As a table map has it.
pub(crate) fn of_log(column: &Column) -> SqlType {
    let [first, second] = column.meta;
    match column.kind {
        wire::LONGLONG => SqlType::BigInt,
        wire::BIT => SqlType::Bit(second.saturating_mul(8).saturating_add(first)),
        wire::DATE | wire::NEWDATE => SqlType::Date,
        wire::DATETIME => SqlType::Datetime(first),
        wire::OLD_DATETIME => SqlType::Datetime(0),
        wire::TIMESTAMP => SqlType::Timestamp(first),
        wire::OLD_TIMESTAMP => SqlType::Timestamp(0),
        wire::TIME => SqlType::Time(first),
        wire::OLD_TIME => SqlType::Time(0),
        wire::ENUM => SqlType::Enum,
        wire::SET => SqlType::Set,
        wire::GEOMETRY if second == POINT => SqlType::Point,
        wire::GEOMETRY => SqlType::Geometry,
        wire::VECTOR => SqlType::Vector,
        _ => SqlType::Other,
    }
}

/// As `information_schema` has it: DATA_TYPE, COLUMN_TYPE, DATETIME_PRECISION.
pub(crate) fn of_catalog(data_type: &str, column_type: &str, digits: u8) -> SqlType {
    match data_type {
        "bigint" => SqlType::BigInt,
        "bit" => SqlType::Bit(length(column_type).unwrap_or(1)),
        "date" => SqlType::Date,
        "datetime" => SqlType::Datetime(digits),
        "timestamp" => SqlType::Timestamp(digits),
        "time" => SqlType::Time(digits),
        "enum" => SqlType::Enum,
        "set" => SqlType::Set,
        "point" => SqlType::Point,
        "linestring" | "polygon" | "geometry" | "multipoint" | "multilinestring" | "multipolygon" | "geometrycollection"
        | "geomcollection" => SqlType::Geometry,
        "vector" => SqlType::Vector,
        _ => SqlType::Other,
    }
}

/// `bit(10)` has 10.
fn length(column_type: &str) -> Option<u8> {
    column_type.split_once('(')?.1.split_once(')')?.0.parse().ok()
}
