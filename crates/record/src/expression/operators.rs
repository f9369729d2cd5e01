//! The operators that evaluate all their operands, and how they take them.

/// How an operator's operands are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// As an array of so many, or one alone.
    List(usize, usize),
    /// As an object of these names; those with `?` may be left out.
    Named(&'static [&'static str]),
    /// As an object of these names, or in an array in that order.
    Either(&'static [&'static str]),
}

macro_rules! operators {
    ($($operator:ident $name:literal $shape:expr;)*) => {
        /// An operator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Operator { $($operator),* }

        impl Operator {
            pub(super) fn named(name: &str) -> Option<(Self, Shape)> {
                match name {
                    $($name => Some((Self::$operator, $shape)),)*
                    _ => None,
                }
            }

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$operator => $name),* }
            }
        }
    };
}

use Shape::{Either, List, Named};

const ANY: usize = usize::MAX;
const DATE: Shape = Either(&["date", "timezone?"]);

operators! {
    // number
    Abs "$abs" List(1, 1);
    Add "$add" List(0, ANY);
    Ceil "$ceil" List(1, 1);
    Divide "$divide" List(2, 2);
    Exp "$exp" List(1, 1);
    Floor "$floor" List(1, 1);
    Ln "$ln" List(1, 1);
    Log "$log" List(2, 2);
    Log10 "$log10" List(1, 1);
    Mod "$mod" List(2, 2);
    Multiply "$multiply" List(0, ANY);
    Pow "$pow" List(2, 2);
    Round "$round" List(1, 2);
    Sqrt "$sqrt" List(1, 1);
    Subtract "$subtract" List(2, 2);
    Trunc "$trunc" List(1, 2);
    Sin "$sin" List(1, 1);
    Cos "$cos" List(1, 1);
    Tan "$tan" List(1, 1);
    BitAnd "$bitAnd" List(0, ANY);
    BitOr "$bitOr" List(0, ANY);
    BitXor "$bitXor" List(0, ANY);
    BitNot "$bitNot" List(1, 1);
    // comparison and logic
    Compare "$cmp" List(2, 2);
    Equal "$eq" List(2, 2);
    Greater "$gt" List(2, 2);
    GreaterEqual "$gte" List(2, 2);
    Less "$lt" List(2, 2);
    LessEqual "$lte" List(2, 2);
    NotEqual "$ne" List(2, 2);
    Not "$not" List(1, 1);
    // over the operands, or the elements of the only one
    Sum "$sum" List(1, ANY);
    Avg "$avg" List(1, ANY);
    Min "$min" List(1, ANY);
    Max "$max" List(1, ANY);
    StdDevPop "$stdDevPop" List(1, ANY);
    StdDevSamp "$stdDevSamp" List(1, ANY);
    // text
    Concat "$concat" List(0, ANY);
    IndexOfBytes "$indexOfBytes" List(2, 4);
    IndexOfCP "$indexOfCP" List(2, 4);
    Split "$split" List(2, 2);
    StrLenBytes "$strLenBytes" List(1, 1);
    StrLenCP "$strLenCP" List(1, 1);
    StrCaseCmp "$strcasecmp" List(2, 2);
    Substr "$substr" List(3, 3);
    SubstrBytes "$substrBytes" List(3, 3);
    SubstrCP "$substrCP" List(3, 3);
    ToLower "$toLower" List(1, 1);
    ToUpper "$toUpper" List(1, 1);
    Trim "$trim" Named(&["input", "chars?"]);
    LTrim "$ltrim" Named(&["input", "chars?"]);
    RTrim "$rtrim" Named(&["input", "chars?"]);
    ReplaceOne "$replaceOne" Named(&["input", "find", "replacement"]);
    ReplaceAll "$replaceAll" Named(&["input", "find", "replacement"]);
    // arrays
    ArrayElemAt "$arrayElemAt" List(2, 2);
    ConcatArrays "$concatArrays" List(0, ANY);
    First "$first" List(1, 1);
    Last "$last" List(1, 1);
    FirstN "$firstN" Named(&["n", "input"]);
    LastN "$lastN" Named(&["n", "input"]);
    MaxN "$maxN" Named(&["n", "input"]);
    MinN "$minN" Named(&["n", "input"]);
    In "$in" List(2, 2);
    IndexOfArray "$indexOfArray" List(2, 4);
    IsArray "$isArray" List(1, 1);
    Range "$range" List(2, 3);
    ReverseArray "$reverseArray" List(1, 1);
    Size "$size" List(1, 1);
    Slice "$slice" List(2, 3);
    SortArray "$sortArray" Named(&["input", "sortBy"]);
    Zip "$zip" Named(&["inputs", "useLongestLength?", "defaults?"]);
    AllElementsTrue "$allElementsTrue" List(1, 1);
    AnyElementTrue "$anyElementTrue" List(1, 1);
    SetDifference "$setDifference" List(2, 2);
    SetEquals "$setEquals" List(2, ANY);
    SetIntersection "$setIntersection" List(0, ANY);
    SetIsSubset "$setIsSubset" List(2, 2);
    SetUnion "$setUnion" List(0, ANY);
    // objects
    ArrayToObject "$arrayToObject" List(1, 1);
    ObjectToArray "$objectToArray" List(1, 1);
    MergeObjects "$mergeObjects" List(0, ANY);
    GetField "$getField" Named(&["field", "input"]);
    SetField "$setField" Named(&["field", "input", "value"]);
    UnsetField "$unsetField" Named(&["field", "input"]);
    // types
    Type "$type" List(1, 1);
    IsNumber "$isNumber" List(1, 1);
    ToBool "$toBool" List(1, 1);
    ToDate "$toDate" List(1, 1);
    ToDouble "$toDouble" List(1, 1);
    ToInt "$toInt" List(1, 1);
    ToLong "$toLong" List(1, 1);
    ToText "$toString" List(1, 1);
    // dates
    Year "$year" DATE;
    Month "$month" DATE;
    Week "$week" DATE;
    DayOfMonth "$dayOfMonth" DATE;
    DayOfWeek "$dayOfWeek" DATE;
    DayOfYear "$dayOfYear" DATE;
    Hour "$hour" DATE;
    Minute "$minute" DATE;
    Second "$second" DATE;
    Millisecond "$millisecond" DATE;
    IsoDayOfWeek "$isoDayOfWeek" DATE;
    IsoWeek "$isoWeek" DATE;
    IsoWeekYear "$isoWeekYear" DATE;
    DateAdd "$dateAdd" Named(&["startDate", "unit", "amount", "timezone?"]);
    DateSubtract "$dateSubtract" Named(&["startDate", "unit", "amount", "timezone?"]);
    DateDiff "$dateDiff" Named(&["startDate", "endDate", "unit", "timezone?", "startOfWeek?"]);
    DateTrunc "$dateTrunc" Named(&["date", "unit", "binSize?", "timezone?", "startOfWeek?"]);
    DateFromParts "$dateFromParts"
        Named(&["year", "month?", "day?", "hour?", "minute?", "second?", "millisecond?", "timezone?"]);
    DateToParts "$dateToParts" Named(&["date", "timezone?"]);
    DateFromString "$dateFromString"
        Named(&["dateString", "timezone?", "onError?", "onNull?"]);
    DateToString "$dateToString" Named(&["date", "format?", "timezone?", "onNull?"]);
}
