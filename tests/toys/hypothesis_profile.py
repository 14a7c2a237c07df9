"""Import this to run hypothesis with the settings of these tests."""

import hypothesis

# A busy machine is no failure, so there is no deadline.
hypothesis.settings.register_profile("xaicore", deadline=None, max_examples=50)
hypothesis.settings.load_profile("xaicore")
