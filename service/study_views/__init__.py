"""Studies as many readers see them: read once, kept in memory, brought up to date by what is new."""

from __future__ import annotations

from service.study_views.study_view import Body, StudyView
from service.study_views.study_views import StudyViews
from service.study_views.study_watches import Moment, StudyWatches, Watch

__all__ = ["Body", "Moment", "StudyView", "StudyViews", "StudyWatches", "Watch"]
