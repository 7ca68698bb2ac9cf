"""Tells values from placeholders such as "unknown".

A language model that must fill in a form writes "Not provided yet", "[Name]" or "the customer"; a recogniser hears
"Voicemail". `is_unknown` finds such words in any entry, `is_no_name` those that are nobody's name, and `heard_name`
leaves of a name what somebody has said. Pure functions over text; nothing here raises.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_WORDS: Final = re.compile(r"[^\W_]+")
_LETTERS: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "'": "", "’": ""}
)


_MARKS: Final = "?？؟⸮‽⁇⁈⁉﹖፧꘏꛷\u037e"
"""The question marks of all scripts, but the Armenian one, which stands in a word, and the Greek `;`."""
_INNER: Final = r"(?<=\b\w)\.(?=\w\b)|(?<=\d)\.(?=\d)"
"""A point that ends no sentence: of "a.m." and of 9.30."""
_ENDS: Final = f".!;。｡！।۔։။។{_MARKS}"
_SENTENCE: Final = re.compile(rf"(?:[^{_ENDS}]+|{_INNER})+[{_ENDS}]*")
_QUESTION: Final = re.compile(rf"(?:[{_MARKS}]|(?<=[Ͱ-Ͽἀ-῿]);|՞\w*)\W*$")
_LONGEST_END: Final = 100
"""Characters among which the mark of a question is looked for: a word, and what may stand behind it."""


def plain_words(text: str) -> list[str]:
    """Split a text into words, without case, accents, vowel signs and apostrophes."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)
    bare = "".join(each for each in unicodedata.normalize("NFKD", folded) if unicodedata.category(each)[0] != "M")
    return _WORDS.findall(unicodedata.normalize("NFC", bare))


def sentences_of(text: str) -> list[str]:
    """Split a text into sentences, each with the marks behind it."""
    return _SENTENCE.findall(text)


def is_question(text: str) -> bool:
    """Whether a text ends with a question, in quotes or not, in any script."""
    return _QUESTION.search(text[-_LONGEST_END:]) is not None


def _plain_set(text: str) -> frozenset[str]:
    return frozenset(plain_words(text))


_NOTHING: Final = _plain_set(
    "unknown unk unspecified undefined undetermined unidentified unnamed unclear uncertain unsure undisclosed "
    "unavailable unstated anonymous nameless not no non none never nothing nobody noone null nil nan na tbd tba tbc "
    "pending blank empty missing withheld redacted hidden placeholder didnt doesnt dont wasnt hasnt havent isnt arent "
    "wont wouldnt cant couldnt without private blocked restricted confidential secret maybe possibly perhaps probably "
    "rather prefer prefers preferred declined declines refused refuses undecided xxx "
    "unbekannt unklar keine kein nicht desconocido desconocida ninguno ninguna sin inconnu inconnue aucun aucune "
    "sconosciuto sconosciuta nessuno onbekend geen okand ukjent ukendt neznamy neznama nieznany nieznana tuntematon "
    "bilinmiyor bilinmeyen desconhecido desconhecida nao неизвестно неизвестен неизвестный неизвестная невідомо нет "
    "не нет невідоме ні ohne sans niet ikke inte ingen yok belirtilmedi belirtilmemis brak neuvedeno neuveden "
    "άγνωστο άγνωστος 未知 不明 不详 不詳 未提供 未告知 未定 匿名 無名 名無し 無し なし 没有 미상 없음 모름 "
    "مجهول معروف अज्ञात नहीं noname"
)
"""Each of these says that something is not there."""

_NOTHING_MORE: Final = _plain_set(
    "said say mentioned mention specified specify provided provide stated state given give gave known know available "
    "disclosed disclose shared share captured recorded collected clear confirmed confirm determined determine decided "
    "obtained asked applicable identified identify found heard understood sure offered revealed reveal supplied "
    "answer answered response tell told set remain stay idea data here n a d "
    "angegeben bekannt angabe genannt proporcionado especificado dado conocido nombre fourni precise connu nom "
    "fornito specificato noto informado fornecido opgegeven mencionado mencionada indicado indicada dit donne indique "
    "communique detto indicato namen nombrado genoemd oppgitt oplyst angivet uppgivet bilgi указано указан указана "
    "названо назвал назвала сообщил сообщила сказал сказала известно вказано відомо غير"
)
"""With one of the words above, these say nothing more."""

_FILLERS: Final = _plain_set(
    "the a an this that it its their his her our your of for to at by in on from with and or so far yet now still "
    "currently time moment point was is were are be been being has have had did do does would could can will they "
    "he she we you i customer customers caller callers user users client clients lead prospect person people someone "
    "somebody name names first last full given family surname need needs topic subject location place timeline entry "
    "field value information info details anything any call conversation transcript insert enter string text"
)
"""These say nothing by themselves."""

_ARTICLES: Final = _plain_set("the a an der die das ein eine el la los las un una le les une il lo gli het de")
TITLES: Final = _plain_set(
    "mr mrs ms miss mister missus missis mx dr doctor prof professor sir madam maam lord lady dame reverend "
    "herr frau senor senora senorita monsieur madame mademoiselle signor signora signore pan pani"
)
_SAME_TITLES: Final = (
    _plain_set("mr mister"),
    _plain_set("mrs missus missis"),
    _plain_set("ms miss"),
    _plain_set("dr doctor"),
    _plain_set("prof professor"),
)
_NOBODY: Final = _plain_set(
    "customer caller user client guest lead prospect person people individual human member patient speaker respondent "
    "contact buyer visitor subscriber participant stranger consumer man woman boy girl gentleman ladies wife husband "
    "spouse partner mother father mom mum dad son daughter brother sister uncle aunt grandma grandpa grandmother "
    "grandfather friend boss colleague coworker neighbor neighbour roommate secretary receptionist assistant agent "
    "advisor adviser representative operator manager owner voicemail mailbox answerphone machine recording message "
    "beep robot bot computer ai name wrong number someone somebody anybody everybody anyone everyone myself himself "
    "herself yourself kunde kundin anrufer anruferin cliente klient klant kund usuario usuaria utilisateur benutzer "
    "appelant chiamante yes yeah yep okay sure hello hi hey firstname lastname fullname forename username same above "
    "ask test dummy demo spam scam klientka zakaznik zakaznice asiakas kunden kunder musteri isim клиент клиентка "
    "абонент имя клієнт імя العميل عميل ग्राहक नाम 客户 客戶 顾客 顧客 お客様 名前 氏名 姓名 고객 고객님 이름"
)


def is_unknown(text: str) -> bool:
    """Say whether a text says no more than that something is not known."""
    told = [word for word in plain_words(text) if word not in _FILLERS]
    return all(word in _NOTHING or word in _NOTHING_MORE for word in told) and (
        not told or any(word in _NOTHING for word in told) or set(told) <= {"n", "a", "d"}
    )


def is_no_name(text: str) -> bool:
    """Say whether a text is nobody's name: a placeholder, what somebody is, or a title or an article alone."""
    words = plain_words(text)
    if is_unknown(text) or any(word in _NOBODY or word in _NOTHING for word in words):
        return True
    named = [word for word in words if word not in TITLES and word not in _ARTICLES]
    bare = (word for word in named if not any(map(str.isdigit, word)))
    return not any(len(set(word)) > 1 or not word.isascii() for word in bare)


def heard_name(name: str, said: Iterable[str]) -> str:
    """Leave of a name the words that stand in what was said; empty where that is no name any more."""
    heard: set[str] = set()
    for text in said:
        words = plain_words(text)
        heard.update(words, _spelled(words))
    kept = [word for word in name.split() if _is_heard(plain_words(word), heard)]
    return "" if is_no_name(" ".join(kept)) else " ".join(kept)


def _is_heard(words: list[str], heard: set[str]) -> bool:
    return bool(words) and all(
        word in heard or any(word in same and same & heard for same in _SAME_TITLES) for word in words
    )


def _spelled(words: list[str]) -> set[str]:
    """Put together what was spelled, letter by letter."""
    runs, run = set[str](), ""
    for word in [*words, ""]:
        if len(word) == 1:
            run += word
            continue
        runs.add(run)
        run = ""
    return runs - {""}
