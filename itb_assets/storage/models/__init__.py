"""Models on disk: numbered versions, checked before they are unpickled."""
