//! The faults, each with its name on the command line and what it does.

use std::str::FromStr;

macro_rules! faults {
    ($($fault:ident $name:literal $says:literal)+) => {
        /// What a server does wrong. Each deviation stands where it bites.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $says] $fault,)+
        }

        impl Fault {
            /// Every fault with its name and its sentence.
            pub const ALL: &[(Self, &str, &str)] = &[$((Self::$fault, $name, $says),)+];
        }
    };
}

faults! {
    None "none" "Nothing is wrong."

    // What comes in.
    HeaderRecvOnce "header-recv-once" "The header is what one recv of 4 bytes brings."
    PayloadRecvOnce "payload-recv-once" "The payload is what one recv brings."
    FrameRecvOnce "frame-recv-once" "A frame is what one recv brings, and nothing else is in it."
    PartForgotten "part-forgotten" "The part of a frame at the end of a read is forgotten."
    LittleEndian "little-endian" "Lengths are read as little endian."
    LittleEndianAll "little-endian-all" "Lengths are read and written as little endian."
    LengthOf16Bits "length-of-16-bits" "Only the lower half of a length is read."
    LengthOfSignedBytes "length-of-signed-bytes" "The bytes of a length are added up as signed ones."
    LengthOfCharacters "length-of-characters" "A length is taken for a number of characters."
    UnsignedLength "unsigned-length" "Lengths are unsigned, and have no limit."
    LengthLeftOut "length-left-out" "A frame ends where its JSON does."
    FramesOf64KibAtMost "frames-of-64-kib-at-most" "The frame limit is 64 KiB."
    FramesOf16MibAtMost "frames-of-16-mib-at-most" "The frame limit is 16 MiB."
    EmptyFrameSkipped "empty-frame-skipped" "A frame of length 0 gets no reply."
    EmptyFrameCloses "empty-frame-closes" "A frame of length 0 closes the connection."
    BadLengthStaysOpen "bad-length-stays-open" "After a bad length the connection goes on."
    BadLengthSilent "bad-length-silent" "A bad length closes the connection without a reply."
    BadLengthCrashes "bad-length-crashes" "A bad length ends the process."
    CutFrameExecuted "cut-frame-executed" "What came of a frame that is cut short is executed."
    HangUpCrashes "hang-up-crashes" "The process ends when a client hangs up inside a frame."
    NeverCloses "never-closes" "A connection that its client has ended is kept open."
    EndMeansGone "end-means-gone" "A client that has ended its sending side gets no more replies."
    AllocatesAnnounced "allocates-announced" "The announced length is allocated, and filled."
    NoFrameTimeout "no-frame-timeout" "A frame may take for ever."
    ShortFrameTimeout "short-frame-timeout" "A frame has to come within a fifth of a second."
    OneAtATime "one-at-a-time" "One connection is served at a time."
    PoolOfEight "pool-of-eight" "Eight connections are served, and the others wait in silence."

    // Which payloads are requests, and what they mean.
    BadJsonSilent "bad-json-silent" "What is no JSON gets no reply."
    BadJsonCloses "bad-json-closes" "What is no JSON closes the connection."
    BadRequestCloses "bad-request-closes" "The connection is closed after a 400."
    OtherJsonCloses "other-json-closes" "JSON that is no object closes the connection."
    OtherJsonIsOk "other-json-is-ok" "JSON that is no object is answered with 200."
    ListsAreRequests "lists-are-requests" "A request may be an array, or in one."
    TextIsRequest "text-is-request" "What is no JSON is taken for a GET."
    Trimless "trimless" "White space around the object is refused."
    MembersByTextSearch "members-by-text-search" "Members are found by searching the text."
    MembersInOrder "members-in-order" "The members have to come in one order."
    UnknownMembersRefused "unknown-members-refused" "Members that no command has get 400."
    SurplusMembersRefused "surplus-members-refused" "Members that this command does not have get 400."
    FirstMemberCounts "first-member-counts" "Of repeated members the first counts."
    ValueMeansSet "value-means-set" "GET with a value stores it."
    CommandInAnyCase "command-in-any-case" "Commands may be in small letters."
    CommandTrimmed "command-trimmed" "White space around a command does not count."
    CommandByRawText "command-by-raw-text" "A command with escapes is unknown."
    LongCommandNames "long-command-names" "DELETE and RESET are commands, too."
    UnknownCommandIsOk "unknown-command-is-ok" "An unknown command is answered with 200."
    MissingCommandIsGet "missing-command-is-get" "A request without a command is a GET."
    MissingKeyIsUndefined "missing-key-is-undefined" "A missing key is the key `undefined`."
    MissingValueIsNull "missing-value-is-null" "A missing value is null."
    KeysMadeStrings "keys-made-strings" "A key that is no string is made one."
    EmptyKeyAccepted "empty-key-accepted" "The empty key is a key."
    SurrogatesInKeysReplaced "surrogates-in-keys-replaced" "Lone surrogates in keys are replaced."
    LaxJson "lax-json" "JSON is read as a lenient parser does."
    Evaluated "evaluated" "Payloads are evaluated as an expression of Python."
    NanAccepted "nan-accepted" "NaN and Infinity are numbers."
    RepairsJson "repairs-json" "What is missing at the end of JSON is added."
    TrailingTextAccepted "trailing-text-accepted" "What follows the object is dropped."
    LossyUtf8 "lossy-utf-8" "Bytes that are not UTF-8 are replaced."
    DetectsEncoding "detects-encoding" "A byte order mark is dropped, and UTF-16 is read."

    // What names an entry.
    KeysByRawText "keys-by-raw-text" "Keys are compared with their escapes."
    KeysInLowerCase "keys-in-lower-case" "Keys are made small letters."
    KeysTrimmed "keys-trimmed" "White space around keys is removed."
    KeysTruncated "keys-truncated" "Keys are cut after 255 bytes."
    KeysInAscii "keys-in-ascii" "Letters beyond ASCII are question marks in keys."
    KeysEndAtZero "keys-end-at-zero" "Keys end at a zero, as in C."
    KeysNormalized "keys-normalized" "Keys are normalized."
    KeysAreFileNames "keys-are-file-names" "Keys with a slash in them get 400."
    KeysAreProperties "keys-are-properties" "The names that every object has are found."

    // What becomes of values.
    NumbersAsFloats "numbers-as-floats" "Numbers go through a 64-bit float."
    NumbersAsIntegers "numbers-as-integers" "Numbers lose their fraction and exponent."
    ValuesReformatted "values-reformatted" "Values are parsed and written again."
    ValuesInAscii "values-in-ascii" "Letters beyond ASCII are question marks in values."
    ValuesEscaped "values-escaped" "Letters beyond ASCII are written as escapes."
    ValuesInUcs2 "values-in-ucs-2" "Characters beyond the first plane are replaced."
    ValuesAsText "values-as-text" "A GET finds the text of the value, as a string."
    StringsReparsed "strings-reparsed" "A string that holds JSON comes back as that JSON."
    StringsWithoutEscapes "strings-without-escapes" "Escapes in values lose their backslash."
    SurrogatesReplaced "surrogates-replaced" "Lone surrogates in values are replaced."
    FalsyValuesMissing "falsy-values-missing" "null, false, 0 and what is empty is not found."
    FalsyValuesNotRemoved "falsy-values-not-removed" "DEL says 404 for null, false, 0 and what is empty."
    NullRemoves "null-removes" "SET of null removes the entry."
    NullLeftOut "null-left-out" "A reply leaves a value of null out."
    ListsAsObjects "lists-as-objects" "Arrays come back as objects with numbers for names."
    NamelessMembersDropped "nameless-members-dropped" "Members without a name are dropped."
    PrototypeDropped "prototype-dropped" "A member `__proto__` is dropped."
    Depth64 "depth-64" "Values may nest 64 levels deep."
    Depth128 "depth-128" "Values may nest 128 levels deep."
    DepthUnlimited "depth-unlimited" "Values may nest as deep as they like."
    DepthInStrings "depth-in-strings" "Brackets in strings count as levels."
    DepthCrashes "depth-crashes" "A value that nests very deep ends the process."

    // What is executed.
    PrivateStores "private-stores" "Each connection has a store of its own."
    EntriesOfConnections "entries-of-connections" "What a client has set goes with it."
    MissIsNull "miss-is-null" "A GET that finds nothing is answered with 200 and null."
    MissWithoutValue "miss-without-value" "A GET that finds nothing has no value in its reply."
    GetRemoves "get-removes" "GET removes what it finds."
    SetKeepsFirst "set-keeps-first" "SET does not replace."
    DelAlwaysOk "del-always-ok" "DEL is always answered with 200."
    DelNeverOk "del-never-ok" "DEL is always answered with 404."
    DelIgnored "del-ignored" "DEL removes nothing."
    DelRemovesAll "del-removes-all" "DEL removes everything."
    DelForEver "del-for-ever" "A key that was removed can't be set again."
    RstIgnored "rst-ignored" "RST removes nothing."
    RstForgetsShard "rst-forgets-shard" "RST forgets one shard of eight."
    RstBreaks "rst-breaks" "After RST nothing can be stored any more."
    RstNeedsKey "rst-needs-key" "RST without a key gets 400."
    ReadsFirst "reads-first" "GETs of a packet are executed before the rest."
    TornValues "torn-values" "SET replaces a value piece by piece."
    WritesUnderLock "writes-under-lock" "Replies are written while the store is locked."
    SharedReply "shared-reply" "All connections use one buffer for the reply."
    LeaksEntries "leaks-entries" "What is removed is never freed."

    // What it holds, with a ceiling.
    CeilingIgnored "ceiling-ignored" "The ceiling is no limit."
    FullCloses "full-closes" "A SET without room closes the connection."
    FullSentenceVague "full-sentence-vague" "The sentence of a 503 does not name the ceiling."
    FullEvicts "full-evicts" "The entries that were set first make room for others."
    FullRefusesAll "full-refuses-all" "Once a SET had no room, every request gets 503."
    FullRemovesReplaced "full-removes-replaced" "A SET without room has removed the entry that it was to replace."
    RstMakesNoRoom "rst-makes-no-room" "What RST removes is counted all the same."
    DelMakesNoRoom "del-makes-no-room" "What DEL removes is counted all the same."
    FrameWithoutRoomCloses "frame-without-room-closes" "A frame without room closes the connection."
    FrameWithoutRoomSilent "frame-without-room-silent" "A frame without room gets no reply."
    FrameWithoutRoomCut "frame-without-room-cut" "Of a frame without room, only what has come is dropped."
    LongFramesRefuseOthers "long-frames-refuse-others" "Frames in progress take the room of all entries."

    // What is answered.
    Always200 "always-200" "Everything is answered with 200."
    Always400 "always-400" "Everything is answered with 400."
    StatusAsText "status-as-text" "The status is a string."
    TwoReplies "two-replies" "Each request is answered twice."
    NullEverywhere "null-everywhere" "Every reply has a value, if only null."
    NoErrorSentence "no-error-sentence" "A 400 says nothing more."
    VagueErrorSentence "vague-error-sentence" "The sentence of every 400 is the same."
    LittleEndianReplies "little-endian-replies" "Lengths are written as little endian."
    HeaderLeftOut "header-left-out" "Replies have no header."
    HeaderCounted "header-counted" "A reply's length counts its header, too."
    Greets "greets" "Who connects gets a line of text first."
    ReplyLengthOfCharacters "reply-length-of-characters" "A reply's length counts characters."
    HeaderInTwoWrites "header-in-two-writes" "The header of a reply leaves in two writes, without TCP_NODELAY."
    PayloadInSecondWrite "payload-in-second-write" "The payload of a reply leaves in a second write, without TCP_NODELAY."
    RepliesReversed "replies-reversed" "The last request of a packet is answered first."
    ShortRepliesFirst "short-replies-first" "Short replies overtake long ones."
    NoPatience "no-patience" "A connection that can't take a reply at once is closed."

    // How it lives.
    SignalsIgnored "signals-ignored" "Signals are ignored."
    SignalsEndWithOne "signals-end-with-one" "A signal ends the process with exit code 1."
    SignalsDropAll "signals-drop-all" "A signal ends the process at once, with exit code 0."
    WaitsForClients "waits-for-clients" "After a signal it waits until all clients have gone."
    KeepsAccepting "keeps-accepting" "After a signal it goes on accepting, while clients are left."
    SecondSignalIgnored "second-signal-ignored" "A second signal changes nothing."
    Persists "persists" "The entries are there again when it is started again."
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(wanted: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name, _)| *name == wanted);
        found
            .map(|(fault, _, _)| *fault)
            .ok_or_else(|| format!("there is no fault {wanted:?}; --list shows them"))
    }
}
