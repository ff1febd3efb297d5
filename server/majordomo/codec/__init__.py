"""What the codecs of all API formats share."""

from majordomo.distribution import require

require("server")
