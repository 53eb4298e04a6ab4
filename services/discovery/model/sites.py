"""The one table of sites: their hosts, what each form of their addresses names, and how a handle is folded.

A form is a path: `{name}` is a handle, `{id}` (`{page}`, where it is long) the number under which a site knows an
account, `{post}` a post, `{thread}` where it stands (a group, a post with comments), `{any}` what names nothing.
Literal words are compared whatever their case; a last `*` stands for whatever follows. What no form of a known site
matches names nobody. Nothing is ever fetched, so a redirect names nobody either.

Sources, beside the sites themselves: yt-dlp's issues for forms of videos and share links (Instagram: #11630, #26234);
`ids.py` of snarfed/bridgy-fed for bridged accounts; docs.gotosocial.org (split-domain deployments),
docs.joinmastodon.org, docs.joinpeertube.org for the fediverse.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from firsthand.shared.texts import normalized

Platform = Literal["bluesky", "mastodon", "instagram", "other"]
Found = Mapping[str, str]  # what a form found: `name`, `id`, `post`

_PART: Final = re.compile(r"\{(name|id|page|post|thread|any)\}")
_WHAT: Final = {
    "name": r"(?P<name>.{1,300})",
    "id": r"(?P<id>.{1,300})",
    "page": r"(?P<id>[0-9]{9,20})",
    "post": r"(?P<post>[A-Za-z0-9_:-]{1,200})",
    "thread": r"(?P<thread>[A-Za-z0-9._-]{1,200})",
    "any": r".{1,300}",
}
# The same site for phones, in another design or another language (`es.`, `es-la.`).
_VARIANT: Final = re.compile(
    r"^(?:www|m|mobile|mbasic|touch|web|old|new|np|amp|music|main|staging|[a-z]{2}(?:-[a-z]{2})?)\."
)


def lower(handle: str) -> str:
    return handle.lower()


def loose(handle: str) -> str:
    """Fold a handle that may be of any script."""
    return normalized("NFKC", normalized("NFKC", handle).casefold())


def without_dots(handle: str) -> str:
    """Fold a Facebook username, in which neither case nor periods count (facebook.com/help/105399436216001)."""
    return handle.lower().replace(".", "")


@dataclass(frozen=True)
class Form:
    """One form of an address, compiled. `text` is how the table writes it."""

    text: str
    parts: tuple[re.Pattern[str], ...]
    open_ended: bool
    query: Mapping[str, str]  # parameter -> what it names

    @property
    def bare(self) -> bool:
        """Whether a handle is its first word, which might then be one of the site's own words."""
        return self.text.startswith("{name}")

    @classmethod
    def of(cls, text: str) -> "Form":
        path, _, query = text.partition("?")
        parts = path.split("/")
        open_ended = parts[-1] == "*"
        return cls(
            text,
            tuple(_segment(part) for part in parts if part not in ("*", "")),
            open_ended,
            {key: value.strip("{}") for key, _, value in (one.partition("=") for one in query.split("&") if one)},
        )

    def match(self, parts: Sequence[str], query: Mapping[str, str]) -> Found | None:
        """Return what an address names in this form; None when it has another form."""
        if len(parts) < len(self.parts) or (len(parts) > len(self.parts) and not self.open_ended):
            return None
        found: dict[str, str] = {}
        for pattern, part in zip(self.parts, parts, strict=False):
            matched = pattern.fullmatch(part)
            if matched is None:
                return None
            found |= matched.groupdict()
        for key, what in self.query.items():
            if not re.fullmatch(r"[\w.:-]{1,200}", query.get(key, "")):
                return None
            found[what] = query[key]
        return found


def _segment(text: str) -> re.Pattern[str]:
    pieces = _PART.split(text)  # literal, what, literal, what ...
    pattern = "".join(_WHAT[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
    return re.compile(pattern, re.IGNORECASE)


@dataclass(frozen=True)
class Site:
    """A site that is known. Its first host is the one of its canonical addresses."""

    key: str
    hosts: tuple[str, ...]  # without `www.` and the like
    names: str  # a pattern: what a folded handle may be
    profile: str  # the canonical address of an account, with `{name}`
    people: tuple[str, ...]  # forms that name an account by its handle
    numbers: Mapping[str, str] = field(default_factory=dict)  # form of something else than the handle -> how we say it
    posts: Mapping[str, str] = field(default_factory=dict)  # form of a post -> its canonical address
    nobody: tuple[str, ...] = ()  # forms that would be taken for others
    words: frozenset[str] = frozenset()  # first words of paths that are no handles
    ids: str = ""  # a pattern: the numbers of accounts, where an address may have them
    profile_by_id: str = ""
    platform: Platform = "other"
    fold: Callable[[str], str] = lower
    # Every account has a handle. Where some have none, a tutor may answer with the number once more.
    all_named: bool = True
    # A host in front of the site's own is a handle: `rosa.medium.com`.
    handles_are_hosts: bool = False
    # Where other addresses are posts that do not say whose they are; elsewhere they name nobody.
    others_are_posts: bool = False
    people_forms: tuple[Form, ...] = field(init=False, repr=False)
    number_forms: tuple[tuple[Form, str], ...] = field(init=False, repr=False)
    post_forms: tuple[tuple[Form, str], ...] = field(init=False, repr=False)
    nobody_forms: tuple[Form, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "people_forms", tuple(Form.of(text) for text in self.people))
        object.__setattr__(self, "number_forms", tuple((Form.of(text), said) for text, said in self.numbers.items()))
        object.__setattr__(self, "post_forms", tuple((Form.of(text), url) for text, url in self.posts.items()))
        object.__setattr__(self, "nobody_forms", tuple(Form.of(text) for text in self.nobody))

    def person(self, found: Found, *, bare: bool = False) -> tuple[str, str] | None:
        """Return the folded handle, or the number, that a form found; one of both is empty. None: it is neither."""
        if number := found.get("id"):
            return ("", number) if self.ids and re.fullmatch(self.ids, number) else None
        name = self.fold(found.get("name", ""))
        if self.ids.startswith("[0-9]") and re.fullmatch(self.ids, name):
            return "", name
        return (name, "") if re.fullmatch(self.names, name) and not (bare and name in self.words) else None

    def read(self, parts: Sequence[str], query: Mapping[str, str]) -> "Named | None":
        """Return what an address names; None for nobody."""
        if any(form.match(parts, query) is not None for form in self.nobody_forms):
            return None
        for form, said in self.number_forms:
            if (found := form.match(parts, query)) is not None and (person := self.person(found, bare=form.bare)):
                name, number = person
                return Named("", said.format(name=quote(name, safe=""), id=number), "", found.get("name", ""))
        for form, url in (*self.post_forms, *((form, "") for form in self.people_forms)):
            found = form.match(parts, query)
            if found is None:
                continue
            if "name" not in found and "id" not in found:
                return Named("", "", url.format(**found), "")
            if (person := self.person(found, bare=form.bare)) is not None:
                name, number = person
                quoted = {"name": quote(name or number, safe=""), "id": number}
                return Named(name, number, url.format(**{**found, **quoted}), found.get("name", ""))
        return None

    def profile_of(self, name: str, number: str) -> str:
        """The canonical address of an account, by its handle or its number."""
        return self.profile.format(name=quote(name, safe="")) if name else self.profile_by_id.format(id=number)


@dataclass(frozen=True)
class Named:
    """What an address of a site names: an account by handle or number, or neither, and a post's address, or none."""

    name: str
    number: str
    post: str
    spelled: str  # the handle as it was given


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_META_NAME: Final = r"[a-z0-9_](?:\.?[a-z0-9_]){0,29}"  # Instagram's and Threads' are the same accounts
_ANY_SCRIPT: Final = r"[^\s/?#@%<>\"'\\]{1,100}"

SITES: Final = (
    Site(
        "instagram",
        hosts=("instagram.com", "instagr.am", "ig.me"),
        platform="instagram",
        names=_META_NAME,
        profile="https://www.instagram.com/{name}/",
        # `_u` and `n` open the app; `share`, `s` and `popular` say nothing of whom.
        people=(
            "_u/{name}/*",
            "_n/{name}/*",
            "n/{name}/*",
            "_ig/m/{name}/*",
            "stories/{name}/*",
            "@{name}/*",
            "{name}/*",
        ),
        nobody=("reels/audio/*", "stories/highlights/*", "ar/{any}/*"),
        posts={
            "p/{post}/*": "https://www.instagram.com/p/{post}/",
            "reel/{post}/*": "https://www.instagram.com/p/{post}/",
            "reels/{post}/*": "https://www.instagram.com/p/{post}/",
            "tv/{post}/*": "https://www.instagram.com/p/{post}/",
            "_u/{name}/p/{post}/*": "https://www.instagram.com/p/{post}/",
            "{name}/p/{post}/*": "https://www.instagram.com/p/{post}/",
            "{name}/reel/{post}/*": "https://www.instagram.com/p/{post}/",
            "{name}/tv/{post}/*": "https://www.instagram.com/p/{post}/",
        },
        words=_words(
            "_ig _n _u about accounts ads api archive blog challenge create data developer developers direct directory"
            " download emails explore fragment gift graphql guides hashtag igtv invites legal lite location locations"
            " login logging metaverified n nametag oauth p popular press privacy public push qr reel reels s safety sem"
            " session settings share shop shopping static stories tags terms topics tv web your_activity"
        ),
    ),
    Site(
        "threads",
        hosts=("threads.com", "threads.net"),
        names=_META_NAME,
        profile="https://www.threads.com/@{name}",
        people=("@{name}/*",),
        posts={
            "@{name}/post/{post}/*": "https://www.threads.com/@{name}/post/{post}",
            "t/{post}/*": "https://www.threads.com/t/{post}",
        },
    ),
    Site(
        "x",
        # The later ones show the same accounts, for previews in messengers or without signing in.
        hosts=(
            "x.com",
            "twitter.com",
            "vxtwitter.com",
            "fxtwitter.com",
            "fixupx.com",
            "fixvx.com",
            "twittpr.com",
            "xcancel.com",
            "nitter.net",
        ),
        names=r"[a-z0-9_]{1,20}",
        profile="https://x.com/{name}",
        people=("@{name}/*", "intent/user?screen_name={name}", "intent/follow?screen_name={name}", "{name}/*"),
        posts={
            "i/web/status/{post}/*": "https://x.com/i/web/status/{post}",
            "i/status/{post}/*": "https://x.com/i/web/status/{post}",
            "{name}/status/{post}/*": "https://x.com/i/web/status/{post}",
            "{name}/statuses/{post}/*": "https://x.com/i/web/status/{post}",
            "@{name}/status/{post}/*": "https://x.com/i/web/status/{post}",
        },
        words=_words(
            "about account compose download explore follow hashtag help home i intent jobs login logout messages"
            " notifications oauth privacy search search-advanced settings share signup tos who_to_follow widgets"
        ),
    ),
    Site(
        "facebook",
        hosts=("facebook.com", "fb.com", "free.facebook.com", "messenger.com", "m.me"),
        names=r"[a-z0-9-]{2,80}",
        ids=r"[0-9]{1,20}",
        fold=without_dots,
        all_named=False,
        profile="https://www.facebook.com/{name}",
        profile_by_id="https://www.facebook.com/profile.php?id={id}",
        people=("t/{name}/*", "pg/{name}/*", "@{name}/*", "{name}/*"),
        numbers={
            "profile.php?id={id}": "{id}",
            "people/{any}/{id}/*": "{id}",
            "pages/{any}/{id}/*": "{id}",
            "p/{any}-{id}/*": "{id}",
            "groups/{any}/user/{id}/*": "{id}",
            "stories/{id}/*": "{id}",
            "{any}-{page}": "{id}",
        },
        posts={
            "permalink.php?story_fbid={post}&id={id}": "https://www.facebook.com/permalink.php?story_fbid={post}&id={id}",
            "story.php?story_fbid={post}&id={id}": "https://www.facebook.com/permalink.php?story_fbid={post}&id={id}",
            "photo.php?fbid={post}": "https://www.facebook.com/photo.php?fbid={post}",
            "photo/*?fbid={post}": "https://www.facebook.com/photo.php?fbid={post}",
            "watch/*?v={post}": "https://www.facebook.com/watch/?v={post}",
            "video.php?v={post}": "https://www.facebook.com/watch/?v={post}",
            "reel/{post}/*": "https://www.facebook.com/reel/{post}",
            "groups/{thread}/posts/{post}/*": "https://www.facebook.com/groups/{thread}/posts/{post}",
            "groups/{thread}/permalink/{post}/*": "https://www.facebook.com/groups/{thread}/posts/{post}",
            "{name}/posts/{post}": "https://www.facebook.com/{name}/posts/{post}",
            "{name}/posts/{any}/{post}": "https://www.facebook.com/{name}/posts/{post}",
            "{name}/videos/{post}": "https://www.facebook.com/{name}/videos/{post}",
            "{name}/videos/{any}/{post}": "https://www.facebook.com/{name}/videos/{post}",
            "{name}/photos/{post}": "https://www.facebook.com/{name}/photos/{post}",
            "{name}/photos/{any}/{post}/*": "https://www.facebook.com/{name}/photos/{post}",
        },
        words=_words(
            "about ads ajax bookmarks business checkpoint dialog events friends fundraisers gaming groups"
            " hashtag help home homephp legal login loginphp marketplace"
            " media messages notes notifications p pages people permalinkphp pg photo photophp photos plugins policies"
            " privacy profile profilephp public reel reels saved search settings share sharer sharerphp stories story"
            " storyphp t terms video videophp videos watch"
        ),
    ),
    Site(
        "tiktok",
        hosts=("tiktok.com",),
        names=r"[a-z0-9_.]{0,23}[a-z0-9_]",
        profile="https://www.tiktok.com/@{name}",
        people=("@{name}/*",),
        posts={
            "@{name}/video/{post}/*": "https://www.tiktok.com/@{name}/video/{post}",
            "@{name}/photo/{post}/*": "https://www.tiktok.com/@{name}/photo/{post}",
        },
    ),
    Site(
        "youtube",
        hosts=("youtube.com", "youtu.be", "youtube-nocookie.com", "studio.youtube.com"),
        names=_ANY_SCRIPT,
        ids=r"UC[A-Za-z0-9_-]{22}",
        fold=loose,  # handles are of any script, and case does not count
        profile="https://www.youtube.com/@{name}",
        profile_by_id="https://www.youtube.com/{id}",
        people=("@{name}/*",),
        # The addresses of former times are not always the handle that came in 2022.
        numbers={
            "channel/{id}/*": "channel/{id}",
            "c/{name}/*": "c/{name}",
            "user/{name}/*": "user/{name}",
            "{name}": "c/{name}",
            "{name}/videos": "c/{name}",
            "{name}/featured": "c/{name}",
            "{name}/about": "c/{name}",
        },
        posts={
            "watch?v={post}": "https://www.youtube.com/watch?v={post}",
            "shorts/{post}/*": "https://www.youtube.com/watch?v={post}",
            "live/{post}/*": "https://www.youtube.com/watch?v={post}",
            "embed/{post}/*": "https://www.youtube.com/watch?v={post}",
            "v/{post}/*": "https://www.youtube.com/watch?v={post}",
            "post/{post}/*": "https://www.youtube.com/post/{post}",
        },
        words=_words(
            "about account attribution_link c channel clip creators embed feed gaming hashtag howyoutubeworks intl live"
            " login logout movies music news oops paid_memberships playlist post premium redirect reporthistory results"
            " share shopping shorts signin source sports t trending tv upload user v verify watch watch_videos"
        ),
    ),
    Site(
        "reddit",
        hosts=("reddit.com", "redd.it", "i.reddit.com"),
        names=r"(?!(?:me|deleted)$)[a-z0-9_-]{2,30}",  # whoever is signed in, and whoever is gone
        profile="https://www.reddit.com/user/{name}",
        people=("user/{name}/*", "u/{name}/*", "r/u_{name}/*"),
        posts={
            "user/{name}/comments/{post}": "https://www.reddit.com/comments/{post}",
            "user/{name}/comments/{post}/{any}": "https://www.reddit.com/comments/{post}",
            "u/{name}/comments/{post}": "https://www.reddit.com/comments/{post}",
            "u/{name}/comments/{post}/{any}": "https://www.reddit.com/comments/{post}",
            "user/{any}/comments/{thread}/{any}/{post}": "https://www.reddit.com/comments/{thread}/comment/{post}",
            "r/{any}/comments/{post}": "https://www.reddit.com/comments/{post}",
            "r/{any}/comments/{post}/{any}": "https://www.reddit.com/comments/{post}",
            "r/{any}/comments/{thread}/{any}/{post}": "https://www.reddit.com/comments/{thread}/comment/{post}",
            "comments/{post}": "https://www.reddit.com/comments/{post}",
            "comments/{post}/{any}": "https://www.reddit.com/comments/{post}",
            "comments/{thread}/{any}/{post}": "https://www.reddit.com/comments/{thread}/comment/{post}",
            "gallery/{post}/*": "https://www.reddit.com/comments/{post}",
        },
    ),
    Site(
        "linkedin",
        hosts=("linkedin.com",),
        names=_ANY_SCRIPT,
        fold=loose,
        profile="https://www.linkedin.com/in/{name}",
        people=("in/{name}/*", "mwlite/in/{name}/*"),
        others_are_posts=True,
    ),
    Site(
        "medium",
        hosts=("medium.com",),
        names=r"[a-z0-9_.-]{1,60}",
        profile="https://medium.com/@{name}",
        people=("@{name}", "@{name}/about", "@{name}/followers", "@{name}/following", "@{name}/lists"),
        handles_are_hosts=True,
        others_are_posts=True,
        posts={"@{name}/{post}": "https://medium.com/@{name}/{post}"},
    ),
    Site(
        "substack",
        hosts=("substack.com",),
        names=r"[a-z0-9_.-]{1,60}",
        profile="https://substack.com/@{name}",
        people=("@{name}", "@{name}/posts", "@{name}/notes", "profile/{any}-{name}"),
        others_are_posts=True,
        posts={"@{name}/note/{post}": "https://substack.com/@{name}/note/{post}"},
    ),
    Site(
        "snapchat",
        hosts=("snapchat.com",),
        names=r"[a-z0-9_.-]{1,30}",
        profile="https://www.snapchat.com/@{name}",
        people=("@{name}", "add/{name}"),
        others_are_posts=True,
        posts={"@{name}/spotlight/{post}": "https://www.snapchat.com/@{name}/spotlight/{post}"},
    ),
    Site(
        "telegram",
        hosts=("t.me", "telegram.me", "telegram.dog"),
        names=r"[a-z][a-z0-9_]{3,31}",
        profile="https://t.me/{name}",
        people=("s/{name}/*", "@{name}/*", "{name}/*"),
        posts={"s/{name}/{post}": "https://t.me/{name}/{post}", "{name}/{post}": "https://t.me/{name}/{post}"},
        handles_are_hosts=True,
        words=_words(
            "addemoji addlist addstickers addtheme boost confirmphone contact giftcode invoice joinchat login proxy"
            " setlanguage share socks"
        ),
    ),
    Site(
        "pinterest",
        hosts=(
            "pinterest.com",
            "pinterest.at",
            "pinterest.ca",
            "pinterest.ch",
            "pinterest.cl",
            "pinterest.co.kr",
            "pinterest.co.uk",
            "pinterest.com.au",
            "pinterest.com.mx",
            "pinterest.de",
            "pinterest.dk",
            "pinterest.es",
            "pinterest.fr",
            "pinterest.ie",
            "pinterest.it",
            "pinterest.jp",
            "pinterest.nz",
            "pinterest.ph",
            "pinterest.pt",
            "pinterest.se",
        ),
        names=r"[a-z0-9_]{3,30}",
        profile="https://www.pinterest.com/{name}/",
        people=("{name}/*",),
        posts={"pin/{post}/*": "https://www.pinterest.com/pin/{post}/"},
        words=_words(
            "_tools about account business categories explore ideas login pin privacy resource search settings source"
            " terms today topics video"
        ),
    ),
    Site(
        "vk",
        hosts=("vk.com", "vk.ru", "vkontakte.ru"),
        # A word with a number is a group, or a post that does not say whose it is.
        names=(
            r"(?!(?:album|app|audio|clip|club|doc|event|market|photo|poll|public|story|topic|video|wall)s?-?[0-9])"
            r"[a-z][a-z0-9_.]{1,31}"
        ),
        profile="https://vk.com/{name}",
        people=("@{name}/*", "{name}/*"),
        words=_words(
            "about ads al apps audio audios away.php blog clips dev docs edit fave feed friends groups im join jobs"
            " login mail market music photos privacy search settings services share.php support terms video videos"
        ),
    ),
    Site(
        "tumblr",
        hosts=("tumblr.com",),
        names=r"[a-z0-9-]{1,32}",
        profile="https://www.tumblr.com/{name}",
        people=("blog/view/{name}/*", "blog/{name}/*", "@{name}/*", "{name}/*"),
        nobody=("@api/*", "@assets/*", "@help/*", "@media/*", "@static/*"),
        posts={
            "@{name}/post/{post}/*": "https://www.tumblr.com/{name}/{post}",
            "blog/view/{name}/{post}/*": "https://www.tumblr.com/{name}/{post}",
            "{name}/{post}/*": "https://www.tumblr.com/{name}/{post}",
        },
        handles_are_hosts=True,
        words=_words(
            "about apps blog communities dashboard developers docs explore followers following help inbox jobs likes"
            " login new policy press privacy register search settings tagged themes tos"
        ),
    ),
    Site(
        "twitch",
        hosts=("twitch.tv",),
        names=r"[a-z0-9_]{3,25}",
        profile="https://www.twitch.tv/{name}",
        people=("{name}/*",),
        posts={
            "videos/{post}": "https://www.twitch.tv/videos/{post}",
            "{name}/clip/{post}/*": "https://www.twitch.tv/{name}/clip/{post}",
        },
        words=_words(
            "broadcast directory downloads drops embed friends inventory jobs login moderator popout prime search"
            " settings signup store subscriptions turbo videos wallet"
        ),
    ),
    Site(
        "weibo",
        hosts=("weibo.com", "weibo.cn"),
        names=r"[a-z][a-z0-9_-]{3,30}",
        ids=r"[0-9]{5,12}",
        all_named=False,
        profile="https://weibo.com/{name}",
        profile_by_id="https://weibo.com/u/{id}",
        people=("{name}/*",),
        numbers={"u/{id}/*": "{id}", "profile/{id}/*": "{id}"},
        posts={"{name}/{post}": "https://weibo.com/{name}/{post}"},
        words=_words("ajax comments detail hot login mygroups newlogin profile search signup status"),
    ),
)

# Bluesky's own hosts; a handle is a domain name, and one under bsky.social opens its profile in a browser too.
BLUESKY_HOSTS: Final = frozenset(
    {"bsky.app", "staging.bsky.app", "main.bsky.dev", "deer.social", "blacksky.community", "witchsky.app"}
)
BLUESKY_HANDLES: Final = ".bsky.social"

# Bridgy Fed's accounts stand for native ones: those that a host brings from Bluesky, those from the web, and, as
# handles on Bluesky, those from the fediverse.
BRIDGED_FROM_BLUESKY: Final = frozenset({"bsky.brid.gy", "atproto.brid.gy"})
BRIDGED_FROM_WEB: Final = frozenset({"web.brid.gy", "fed.brid.gy"})
BRIDGED_TO_BLUESKY: Final = ".ap.brid.gy"
BRIDGES: Final = BRIDGED_FROM_BLUESKY | BRIDGED_FROM_WEB | {"ap.brid.gy"}

# Where an address of any fediverse software names an account of its own host, and then a post or a part of the profile:
# Mastodon, GoToSocial, Pleroma, Akkoma, Misskey, Mobilizon (`/@`, `/users/`), Lemmy (`/u/`), PeerTube (`/a/`,
# `/accounts/`, and its channels), Friendica (`/profile/`), Hubzilla (`/channel/`).
FEDIVERSE_PEOPLE: Final = ("users", "u", "a", "accounts", "c", "video-channels", "profile", "channel")
# Posts whose addresses do not say whose they are: Misskey, Pleroma, PeerTube, Friendica; of Lemmy by number.
FEDIVERSE_POSTS: Final = frozenset({"notes", "notice", "objects", "w", "watch", "display"})
FEDIVERSE_NUMBERED_POSTS: Final = frozenset({"post", "comment"})
# Pages of the software itself: the first asks which server somebody is of, and those of Mastodon and Pixelfed with a
# number lead to the account's own page.
FEDIVERSE_NOBODY: Final = _words("authorize_interaction search tags ap/users web/accounts web/statuses i/web")
# What may stand behind an account and is a part of the profile, not a post.
PROFILE_PARTS: Final = _words(
    "about achievements activity all clips collections comments communities favourites featured featured_tags files"
    " flashs followers following gallery likes media notes overview pages photos playlists posts profile reactions"
    " replies statuses tagged timeline video-channels videos with_replies"
)

# They lead elsewhere, and only a browser learns where; or into a room that is not public (WhatsApp, Discord, Signal).
REDIRECTS: Final = _words(
    "t.co fb.me fb.watch fb.gg on.fb.me l.facebook.com lm.facebook.com l.instagram.com l.threads.com l.threads.net"
    " instagram.app.link vm.tiktok.com vt.tiktok.com lite.tiktok.com go.bsky.app lnkd.in pin.it out.reddit.com"
    " reddit.app.link v.redd.it i.redd.it amp.gs bit.ly bitly.com buff.ly cutt.ly dlvr.it goo.gl share.google"
    " g.co ift.tt is.gd v.gd j.mp ow.ly rb.gy rebrand.ly s.id shorturl.at spr.ly t.ly tiny.cc tinyurl.com trib.al"
    " wa.me api.whatsapp.com chat.whatsapp.com whatsapp.com discord.com discord.gg discordapp.com signal.group"
    " signal.me wp.me www.google.com google.com href.li dub.sh shor.by"
)

# Hosts on which the first word of a path is left out.
SHORTENED: Final = {"youtu.be": "v", "redd.it": "comments", "m.me": "t", "ig.me": "_ig"}

_BY_HOST: Final = {host: site for site in SITES for host in site.hosts}
_UNDER_KNOWN: Final = tuple(
    f".{host}"
    for host in [*(host for host, site in _BY_HOST.items() if not site.others_are_posts), "bsky.app", "brid.gy"]
)
KNOWN: Final = {site.key: site for site in SITES}


def without_variant(host: str) -> str:
    """Return a host without the part that stands for phones, another design or a language."""
    short = _VARIANT.sub("", host, count=1)
    return short if "." in short else host


def site_of(host: str) -> Site | None:
    """Return the site that a host is of, in whatever variant."""
    return _BY_HOST.get(host) or _BY_HOST.get(without_variant(host))


def named_by_host(host: str) -> tuple[Site, str] | None:
    """Return the site and the handle that a host names."""
    name, _, rest = host.partition(".")
    site = _BY_HOST.get(rest)
    return (site, name) if site and site.handles_are_hosts else None


def belongs_to_known(host: str) -> bool:
    """Return whether a host is some other part of a known site: its help, its ads, its shop."""
    return host.endswith(_UNDER_KNOWN)


__all__ = [
    "BLUESKY_HANDLES",
    "BLUESKY_HOSTS",
    "BRIDGED_FROM_BLUESKY",
    "BRIDGED_FROM_WEB",
    "BRIDGED_TO_BLUESKY",
    "BRIDGES",
    "FEDIVERSE_NOBODY",
    "FEDIVERSE_NUMBERED_POSTS",
    "FEDIVERSE_PEOPLE",
    "FEDIVERSE_POSTS",
    "KNOWN",
    "PROFILE_PARTS",
    "REDIRECTS",
    "SHORTENED",
    "SITES",
    "Form",
    "Found",
    "Named",
    "Platform",
    "Site",
    "belongs_to_known",
    "named_by_host",
    "site_of",
    "without_dots",
    "without_variant",
]
