"""The default data set as a TFDS builder: scikit-learn's digits. TFDS names it after the folder."""
