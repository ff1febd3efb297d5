"""What the codecs of all API formats share."""
